package ipc

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/norestart/norestart/control"
)

// outlive repeats do while there is no primary, for successorTimeout since its
// last progress.
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

// everything is more lines than a primary keeps: to a caller who followed the
// last primary, all lines of the next one are new.
const everything = 1 << 30

// following reads a stream over several primaries. After an exec in place it goes
// on where it was; a primary that began anew is read from its beginning.
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
	// successorTimeout bounds the wait for the next primary.
	successorTimeout = 10 * time.Second
	successorPause   = 20 * time.Millisecond
)
