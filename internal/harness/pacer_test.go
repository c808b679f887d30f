package harness

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestPaceIsKeptAndDelaysCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(Load{Rate: 64, Clients: 32}, 0) // a request each half second
		defer p.timer.Stop()
		start := time.Now()
		next := func() time.Duration {
			at, ok := p.next(t.Context())
			if !ok {
				t.Fatal("the pacer has ended")
			}
			return at.Sub(start)
		}
		if got := next(); got != 0 {
			t.Errorf("first at %v", got)
		}
		if got := next(); got != 500*time.Millisecond {
			t.Errorf("second at %v", got)
		}
		time.Sleep(1200 * time.Millisecond) // the answer was slow: two are late by now
		if got := next(); got != time.Second {
			t.Errorf("third counts from %v", got)
		}
		if got := next(); got != 1500*time.Millisecond {
			t.Errorf("fourth counts from %v", got)
		}
		if got := next(); got != 2*time.Second || time.Since(start) != got {
			t.Errorf("fifth at %v", got)
		}
	})
}

func TestPaceSpreadsTheClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(Load{Rate: 32, Clients: 32}, 16)
		defer p.timer.Stop()
		start := time.Now()
		if at, _ := p.next(t.Context()); at.Sub(start) != 500*time.Millisecond {
			t.Errorf("first at %v", at.Sub(start))
		}
	})
}

func TestPaceEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		p := newPacer(Load{Rate: 1, Clients: 32}, 1)
		defer p.timer.Stop()
		if _, ok := p.next(ctx); ok || ctx.Err() == nil {
			t.Error("the pacer went on")
		}
	})
}
