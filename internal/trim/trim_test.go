package trim

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestTrimmer: memory is given back once, when nothing has happened for a while,
// and only when much has been allocated.
func TestTrimmer(t *testing.T) {
	const quiet = 10 * time.Second
	synctest.Test(t, func(t *testing.T) {
		var m Trimmer
		defer m.Stop()
		spent := func() uint64 { m.mu.Lock(); defer m.mu.Unlock(); return m.spent }
		after := func(d time.Duration, want bool, when string) {
			t.Helper()
			before := spent()
			time.Sleep(d)
			synctest.Wait()
			if got := spent() != before; got != want {
				t.Errorf("%s: given back %v, want %v", when, got, want)
			}
		}
		kept := make([][]byte, 0, 3)
		for range 3 {
			kept = append(kept, make([]byte, worth))
			m.After(quiet)
			after(quiet-1, false, "while something happens")
		}
		after(1, true, "it is over")
		after(time.Hour, false, "nothing has happened since")
		m.After(quiet)
		after(quiet, false, "little was allocated")
		kept = append(kept, make([]byte, worth))
		m.After(quiet)
		m.Stop()
		after(time.Hour, false, "stopped")
		_ = kept
	})
}
