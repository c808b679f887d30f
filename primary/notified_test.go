package primary

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/norestart/norestart/internal/notify"
)

// TestReloadsItself: a program that takes in its configuration anew serves on, and
// what takes too long is told, once the time is over that it asked for.
func TestReloadsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, slots, events := programs(t)
		s, r := slots[0], slots[0].processes[1]
		say := func(m notify.Message) {
			m.From = []int{r.pid()}
			l.said(m)
		}
		look := func(when string, reloading, overdue int) {
			t.Helper()
			st := s.pool.status()
			if st.Ready != 2 || st.Reloading != reloading || st.Overdue != overdue || st.Well() != (overdue == 0) || !s.info(time.Now()).Reloading.IsZero() != (reloading > 0) {
				t.Errorf("%s: %+v", when, st)
			}
		}
		say(notify.Message{Reloading: true})
		look("it reloads", 1, 0)
		say(notify.Message{Ready: true})
		look("it has reloaded", 0, 0)
		l.pass(s.pool.spec.ReadyTimeout, events)
		look("long after", 0, 0)

		say(notify.Message{Reloading: true, Extend: time.Minute})
		l.pass(59*time.Second, events)
		look("within the time that it asked for", 1, 0)
		l.pass(2*time.Second, events)
		look("too long", 1, 1)
		say(notify.Message{Ready: true})
		look("at last", 0, 0)

		s.cur.ready = false
		say(notify.Message{Reloading: true})
		if s.cur.ready = true; s.pool.status().Reloading != 0 {
			t.Error("one that starts reloads")
		}
	})
}

// TestReloadsSince: the time without a primary counts.
func TestReloadsSince(t *testing.T) {
	l, slots, _ := programs(t)
	r := slots[0].processes[1]
	r.since = time.Now().Add(-time.Minute)
	for _, tt := range []struct{ ago, want time.Duration }{{10 * time.Second, 10 * time.Second}, {time.Hour, 0}, {-time.Hour, 0}} {
		l.said(notify.Message{From: []int{r.pid()}, Reloading: true, Since: monotonic() - tt.ago})
		if got := time.Since(r.reloading); got < tt.want || got > tt.want+5*time.Second {
			t.Errorf("begun %v ago: since %v", tt.ago, got)
		}
	}
	r.forget()
}
