package primary

import (
	"time"

	"golang.org/x/sys/unix"
)

// The clock of a machine may be set at any moment. Times taken by this process
// are safe: they also have a monotonic reading (package time, Monotonic Clocks),
// which a record loses. So a record has the monotonic time at which its primary
// began, and writes its times as if the clock had not been set since. The next
// primary of the same boot turns them into times of its own, whatever its clock
// says.

// monotonic is the clock that nobody can set (clock_gettime(2)).
func monotonic() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0 // never happens; means unknown in a record
	}
	return time.Duration(ts.Nano())
}

// unset is t as the clock would have shown it, had it not been set since began.
func unset(began, t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return began.Add(t.Sub(began)).Round(0)
}

// rebase turns the times of a record into those of this process: now is its
// clock, and mono what [monotonic] says. The times of another boot, or of a
// record without a monotonic time, are kept, but none is in the future.
func (r *record) rebase(now time.Time, mono time.Duration, boot string) {
	then := now // its clock at this moment
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

// reckon replaces the times that something depends on: how long a process has
// been up and ready, how often a slot has ended lately, how long a reload has
// watched.
func (r *record) reckon(as func(time.Time) time.Time) {
	for i := range r.Jobs {
		for k := range r.Jobs[i].Cycles {
			c := &r.Jobs[i].Cycles[k]
			if c.Watched = as(c.Watched); c.State != nil {
				c.State.Watched = c.Watched
			}
		}
	}
	for i := range r.Pools {
		for k := range r.Pools[i].Slots {
			s := &r.Pools[i].Slots[k]
			var recent []time.Time // the slot has its own
			for _, t := range s.Recent {
				recent = append(recent, as(t))
			}
			s.Recent = recent
			s.Crashes.Since, s.Crashes.Last = as(s.Crashes.Since), as(s.Crashes.Last)
			all := []*processRecord{s.Cur, s.Next}
			for n := range s.Old {
				all = append(all, &s.Old[n])
			}
			for _, p := range all {
				if p != nil {
					p.ReadyAt, p.Since, p.Reloading = as(p.ReadyAt), as(p.Since), as(p.Reloading)
				}
			}
		}
	}
}
