package harness

import (
	"context"
	"time"
)

// Patience bounds a wait that names no other time. It is generous: tests share
// the machine.
const Patience = 2 * time.Minute

// Poll calls done until it is true. The interval grows, for there is nothing to
// gain from asking a slow machine more often.
func Poll(ctx context.Context, done func() bool) error {
	every := 10 * time.Millisecond
	for !done() {
		if err := Pause(ctx, every); err != nil {
			return err
		}
		every = min(every*3/2, 200*time.Millisecond)
	}
	return nil
}

// Pause waits; it ends early with ctx, and with its error.
func Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
