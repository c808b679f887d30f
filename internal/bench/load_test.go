package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestPaceIsKeptAndDelaysCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := load{rate: 2 * clients}.pace(0) // a request each half second
		defer p.stop()
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
		p := load{rate: clients}.pace(clients / 2)
		defer p.stop()
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
		p := load{rate: 1}.pace(1)
		defer p.stop()
		if _, ok := p.next(ctx); ok || ctx.Err() == nil {
			t.Error("the pacer went on")
		}
	})
}
