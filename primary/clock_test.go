package primary

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
)

// lived is the record of a primary that began at that clock and monotonic time
// and has a process that was ready a minute later.
func lived(began time.Time, mono time.Duration) *record {
	at := began.Add(time.Minute)
	s := slotRecord{Cur: &processRecord{ReadyAt: at, Since: at}, Old: []processRecord{{Since: at}}, Recent: []time.Time{at}}
	return &record{BootID: "boot", Since: began, Mono: mono, Pools: []poolRecord{{Slots: []slotRecord{s}}}}
}

// TestClockIsSet: the next primary, five minutes after the last one began, finds
// a clock that somebody has set. How long something is ago does not change.
func TestClockIsSet(t *testing.T) {
	clock := time.Date(2026, 3, 7, 3, 7, 12, 0, time.UTC)
	for _, tt := range []struct {
		name  string
		clock time.Duration // what was added to it
		boot  string
		mono  time.Duration // in the record
		want  time.Duration // since the process was ready
	}{
		{name: "it was not", boot: "boot", mono: time.Hour, want: 4 * time.Minute},
		{name: "back", clock: -2 * time.Hour, boot: "boot", mono: time.Hour, want: 4 * time.Minute},
		{name: "ahead", clock: 2 * time.Hour, boot: "boot", mono: time.Hour, want: 4 * time.Minute},
		{name: "another boot, back", clock: -2 * time.Hour, boot: "other", mono: time.Hour, want: 0},
		{name: "another boot", boot: "other", mono: time.Hour, want: 4 * time.Minute},
		{name: "a record that does not say, back", clock: -2 * time.Hour, boot: "boot", want: 0},
		{name: "a record that does not say", boot: "boot", want: 4 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := lived(clock, tt.mono)
			now := clock.Add(5*time.Minute + tt.clock)
			r.rebase(now, time.Hour+5*time.Minute, tt.boot)
			s := r.Pools[0].Slots[0]
			for _, at := range []time.Time{s.Cur.ReadyAt, s.Cur.Since, s.Old[0].Since, s.Recent[0]} {
				if d := cmp.Diff(tt.want, now.Sub(at)); d != "" {
					t.Errorf("ago (-want +got):\n%s", d)
				}
			}
			if !s.Old[0].ReadyAt.IsZero() {
				t.Error("a process that was never ready has become so")
			}
		})
	}
}

// TestClockIsSetMeanwhile: a clock that is set while the primary lives leaves
// what it writes as it was.
func TestClockIsSetMeanwhile(t *testing.T) {
	began := time.Now()
	ready := began.Add(time.Minute)
	if got := unset(began, ready); !got.Equal(ready) || got != got.Round(0) {
		t.Errorf("%v, want %v without a monotonic reading", got, ready)
	}
	if !unset(began, time.Time{}).IsZero() {
		t.Error("never has become some time")
	}
}

// TestFutureExits: the clock was set back by an hour while no primary lived. What
// ended before then is long ago, and one more end is no reason to give up.
func TestFutureExits(t *testing.T) {
	spec := aged("web", 1)
	spec.MaxRestarts = 1
	l := newSurvivors(t, spec)
	w := l.serving(0, 11)
	l.comeBack(w, ready)
	l.record.Since, l.record.Mono = time.Now().Add(time.Hour-time.Minute*10), monotonic()-time.Minute*10
	hours := time.Now().Add(time.Hour - 5*time.Minute)
	l.pool().Slots[0].Recent = []time.Time{hours, hours}
	l.next()
	w.Exit(3)
	l.await("worker.ready", "web/0")
	if st, err := control.Get(l.context(), l.ctl, control.StatusQuery{}); err != nil || st.Pools[0].Dead != 0 {
		t.Errorf("%+v, %v", st.Pools, err)
	}
}
