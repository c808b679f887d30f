package ipc

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/norestart/norestart/control"
)

// outlive repeats what goes on under the next primary when there is none for a
// while. Whatever makes progress has its whole time again.
func outlive(ctx context.Context, do func() (progress bool, err error)) error {
	var until time.Time
	for {
		progress, err := do()
		if !errors.Is(err, control.ErrUnavailable) || errors.Is(err, os.ErrNotExist) {
			return err
		}
		if until.IsZero() || progress {
			until = time.Now().Add(successorTimeout)
		}
		if time.Now().After(until) {
			return err
		}
		select {
		case <-time.After(successorPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// everything is more than a primary keeps: what the next one has is all new to
// whoever followed the one before.
const everything = 1 << 30

// following reads a stream over the lives of primaries: one that was executed in
// place goes on where it was, one that begins anew is read from its beginning.
func following(ctx context.Context, follow bool, ask func(after control.Cursor, lines int) error, after *control.Cursor, lines int) error {
	if !follow {
		return ask(*after, lines)
	}
	first := *after
	return outlive(ctx, func() (bool, error) {
		before := *after
		if before != first {
			lines = everything
		}
		err := ask(before, lines)
		return *after != before, err
	})
}

const (
	// successorTimeout is how long the next primary may take to come.
	successorTimeout = 10 * time.Second
	successorPause   = 20 * time.Millisecond
)
