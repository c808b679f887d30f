package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

const (
	defaultAttempts = 30
	defaultDelay    = 200 * time.Millisecond
	maxDelay        = 5 * time.Second
)

// Retry says how often to connect again.
type Retry struct {
	Attempts int           // 0: 30, about two minutes; negative: none
	Delay    time.Duration // before the second attempt, then doubled up to 5 s; 0: 200 ms
}

// pause returns the wait before an attempt, counted from 1. It is up to a fifth
// shorter, at random: many clients may have lost the same server.
func (r Retry) pause(attempt int) time.Duration {
	if attempt <= 1 {
		return 0
	}
	d := cmp.Or(r.Delay, defaultDelay)
	for range attempt - 2 {
		if d = min(2*d, maxDelay); d == maxDelay {
			break
		}
	}
	return d - rand.N(d/5+1)
}

// again connects again and says so. It gives up at once if another try cannot
// help.
func (r Retry) again(ctx context.Context, out io.Writer, dial func(context.Context) error) error {
	attempts := cmp.Or(r.Attempts, defaultAttempts)
	if attempts < 0 {
		return ErrLost
	}
	fmt.Fprint(out, "Connection lost. Reconnecting...")
	var err error
	for attempt := 1; attempt <= attempts; attempt++ {
		if err = wait(ctx, r.pause(attempt)); err != nil {
			break
		}
		if err = dial(ctx); err == nil {
			fmt.Fprintln(out, " done!")
			return nil
		}
		if final(err) {
			break
		}
	}
	fmt.Fprintln(out, " failed.")
	return err
}

// interruptible runs do with a context that ends at the first Ctrl-C.
func interruptible(ctx context.Context, interrupts <-chan struct{}, do func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	done, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-interrupts:
			cancel(ErrInterrupted)
		case <-done:
		}
	}()
	defer cancel(nil)
	defer func() { close(done); <-watched }()
	return do(ctx)
}

// final reports whether every further attempt would end the same way.
func final(err error) bool {
	return errors.As(err, new(*TrustError)) || errors.As(err, new(*LoginError)) ||
		errors.Is(err, ErrInterrupted) || errors.Is(err, errEnd) || errors.Is(err, context.Canceled)
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
