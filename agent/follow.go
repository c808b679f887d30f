package agent

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/norestart/norestart/control"
)

// The pauses between two attempts to reach a primary, with jitter.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
)

// everything is more than a primary keeps.
const everything = 1 << 20

// stream is what is followed: events, or lines.
type stream[E any] struct {
	from func(after control.Cursor) control.Stream[E]
	at   func(E) control.Cursor
}

// events are those after a place. The zero place is now.
var events = stream[control.Event]{
	func(after control.Cursor) control.Stream[control.Event] {
		if after == (control.Cursor{}) {
			return control.EventQuery{Follow: true, Lines: -1}
		}
		return control.EventQuery{Follow: true, After: after, Lines: everything}
	},
	func(e control.Event) control.Cursor { return e.Cursor },
}

// lines are those after a place. The zero place is before all that are kept.
var lines = stream[control.LogLine]{
	func(after control.Cursor) control.Stream[control.LogLine] {
		return control.LogQuery{Follow: true, After: after, Lines: everything}
	},
	func(x control.LogLine) control.Cursor { return x.Cursor },
}

// follow calls fn for each element after the place after, under whichever primary
// there is, until ctx ends or fn fails.
func (s stream[E]) follow(ctx context.Context, c control.Control, after control.Cursor, fn func(E) error) error {
	pause := firstPause
	for {
		var stopped error
		_ = control.Watch(ctx, c, s.from(after), func(e E) error { // its end is that of the primary, or ours
			after, pause = s.at(e), firstPause
			stopped = fn(e)
			return stopped
		})
		if stopped != nil {
			return stopped
		}
		sleep(ctx, pause/2+rand.N(pause))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		pause = min(2*pause, lastPause)
	}
}

// sleep returns after d, or when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
