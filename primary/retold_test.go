package primary

import (
	"testing"

	"github.com/norestart/norestart/internal/ipc"
)

// TestToldAgain: a worker that was told to drain is told the same when it comes
// back: the message may have been lost with the primary.
func TestToldAgain(t *testing.T) {
	for name, want := range map[string]ipc.Drain{
		"its slot is emptied": {Linger: true},
		"it has a successor":  {},
		"for good":            {Final: true},
	} {
		t.Run(name, func(t *testing.T) {
			l := newSurvivors(t, aged("web", 1))
			l.comeBack(l.serving(0, 8), ready)
			old := l.survivor(0, 1, 7)
			r := old.registered(true)
			r.Ending, r.Linger, r.Final = int(told), want.Linger, want.Final
			l.pool().Slots[0].Old = []processRecord{*r}
			l.comeBack(old, func(h *ipc.Hello) { h.Ready = true })
			l.start()
			within(t, old.dead)
			if len(old.drains) == 0 || old.drains[0].Linger != want.Linger || old.drains[0].Final != want.Final {
				t.Errorf("told %+v, want %+v", old.drains, want)
			}
		})
	}
}
