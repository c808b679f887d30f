package primary

import (
	"time"

	"golang.org/x/sys/unix"
)

// The clock of a machine may be set at any moment, by hours. A time that this
// process took knows better, for it has a monotonic reading beside that of the
// clock (package time, Monotonic Clocks), which a record loses. So a record
// says at which monotonic time its primary began and tells all times that are
// reckoned with as if the clock had not been set since. The next primary of the
// same boot turns them into times of its own, whatever its clock says.

// monotonic is the clock that nobody sets (clock_gettime(2)).
func monotonic() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0 // never; as a record that does not say
	}
	return time.Duration(ts.Nano())
}

// unset is t as the clock would have told it, had it not been set since the
// moment began.
func unset(began, t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return began.Add(t.Sub(began)).Round(0)
}

// rebase makes the times of a record those of this process: now is its clock,
// and mono what [monotonic] says. Of another boot, or of a record that does not
// say when it began, the clock is believed as far as it can be: nothing is in
// the future.
func (r *record) rebase(now time.Time, mono time.Duration, boot string) {
	then := now // what its clock would say now
	if r.BootID == boot && r.Mono > 0 && mono >= r.Mono {
		then = r.Since.Add(mono - r.Mono)
	}
	r.reckon(func(t time.Time) time.Time {
		if t.IsZero() {
			return t
		}
		return now.Add(-max(then.Sub(t), 0))
	})
}

// reckon replaces the times that something depends on: how long a process is
// up and ready, and how often a slot has ended lately.
func (r *record) reckon(as func(time.Time) time.Time) {
	for i := range r.Pools {
		for k := range r.Pools[i].Seats {
			s := &r.Pools[i].Seats[k]
			var recent []time.Time // the slot has its own
			for _, t := range s.Recent {
				recent = append(recent, as(t))
			}
			s.Recent = recent
			for _, p := range []*processRecord{s.Cur, s.Next} {
				if p != nil {
					p.ReadyAt, p.Since = as(p.ReadyAt), as(p.Since)
				}
			}
			for n := range s.Old {
				p := &s.Old[n]
				p.ReadyAt, p.Since = as(p.ReadyAt), as(p.Since)
			}
		}
	}
}
