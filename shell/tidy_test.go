package shell

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestTidyWaitsForCalm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Server
		var freed atomic.Int32
		ctx, cancel := context.WithCancel(t.Context())
		var loop sync.WaitGroup
		loop.Go(func() { s.tidy(ctx, func() { freed.Add(1) }) })
		after := func(d time.Duration, want int, when string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if got := int(freed.Load()); got != want {
				t.Errorf("%s: %d times, want %d", when, got, want)
			}
		}
		after(time.Hour+calm/2, 0, "nobody has connected")
		for range 5 {
			s.rushes.Add(1)
			after(calm, 0, "somebody connects all the time")
		}
		after(10*calm, passes, "it is over")
		cancel()
		loop.Wait()
	})
}
