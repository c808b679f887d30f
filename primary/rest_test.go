package primary

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestRest: the loop rests once, when nothing has stirred it for a while.
func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := bare()
		defer l.rest.end()
		var rests atomic.Int64
		l.post = func(event) bool { rests.Add(1); return true }
		for range 3 {
			l.stir()
			time.Sleep(restAfter - 1)
			synctest.Wait()
			if rests.Load() > 0 {
				t.Fatal("it rests while it is stirred")
			}
		}
		for range 2 {
			time.Sleep(restAfter)
			synctest.Wait()
			if n := rests.Load(); n != 1 {
				t.Errorf("%d rests, want 1", n)
			}
		}
		l.stir()
		time.Sleep(restAfter)
		synctest.Wait()
		if n := rests.Load(); n != 2 {
			t.Errorf("%d rests after it was stirred again, want 2", n)
		}
	})
}

// TestGiveBack: memory is given back when that is worth it.
func TestGiveBack(t *testing.T) {
	for name, test := range map[string]struct {
		less uint64 // than all allocated has been spent before
		want bool
	}{
		"much was allocated": {2 * restWorth, true},
		"little":             {0, false},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := bare()
			before := max(allocated(), test.less) - test.less
			l.rest.spent = before
			l.giveBack()
			if got := l.rest.spent != before; got != test.want {
				t.Errorf("given back: %v, want %v", got, test.want)
			}
		})
	}
}
