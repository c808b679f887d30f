package primary

import (
	"fmt"
	"time"

	"github.com/norestart/norestart/control"
)

// recycle replaces workers that have reached a limit of their pool, one of a pool at
// a time: of several the one that has served longest, so that each has its turn.
func (l *loop) recycle(now time.Time) {
	for _, p := range l.pools {
		if p.adoption != nil || p.job != nil || l.stopping {
			continue
		}
		var oldest *slot
		var oldestLimit, oldestWhy string
		for _, s := range p.slots {
			limit, why := s.worn(now)
			if s.cur.some() && s.cur.inc == p.recycled.inc {
				s.processes[s.cur.inc].forgive(p.recycled.why)
				if now.Before(p.recycled.until) {
					continue
				}
			}
			if limit == "max_memory" && s.isBloated() {
				l.tellBloated(s, why)
				continue
			}
			if limit != "" && (oldest == nil || s.cur.since.Before(oldest.cur.since)) {
				oldest, oldestLimit, oldestWhy = s, limit, why
			}
		}
		if oldest != nil {
			l.replaceWorn(oldest, oldestLimit, oldestWhy, now)
		}
	}
}

// worn is the limit that the process that serves has reached, by its key, and how;
// empty: none.
func (s *slot) worn(now time.Time) (limit, why string) {
	spec, r := s.pool.spec, s.processes[s.cur.inc]
	switch {
	case r == nil || !s.cur.serves():
	case spec.MaxAge > 0 && now.Sub(s.cur.since) >= lifetime(spec.MaxAge, r.inc):
		return "max_age", fmt.Sprintf("older than %v", spec.MaxAge)
	case spec.MaxRequests > 0 && r.beat.Requests >= lifetime(spec.MaxRequests, r.inc):
		return "max_requests", fmt.Sprintf("%d requests of at most %d", r.beat.Requests, spec.MaxRequests)
	case spec.MaxMemory > 0 && !r.heavy.IsZero() && now.Sub(r.heavy) >= spec.MaxMemoryFor:
		return "max_memory", fmt.Sprintf("%s of memory, more than %s for %v", mebibytes(r.memory), mebibytes(spec.MaxMemory), spec.MaxMemoryFor)
	}
	return "", ""
}

func mebibytes(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }

// recycled is an attempt to replace a process. If it fails it is not repeated before
// until.
type recycled struct {
	inc   uint64
	until time.Time
	why   string
}

// bloated is the replacement of a process that had more memory than it may from its
// start. If a later one of that generation is like it, more replacements change
// nothing.
type bloated struct {
	gen  int
	at   time.Time
	told bool
}

func (s *slot) isBloated() bool {
	r, b := s.processes[s.cur.inc], s.pool.bloated
	return !r.light && r.gen == b.gen && r.since.After(b.at)
}

func (l *loop) tellBloated(s *slot, why string) {
	if !s.pool.bloated.told {
		s.pool.bloated.told = true
		l.report(s, s.cur.inc, control.EventWorkerTrouble, why+", from its start, as the one before: it is not replaced. next: raise max_memory, or reload another version")
	}
}

// recycleAgain is from a failed attempt to the next one.
const recycleAgain = time.Minute

func (l *loop) replaceWorn(s *slot, limit, why string, now time.Time) {
	if _, err := l.restartWorker(s.id(), limit); err != nil {
		return // too many jobs run
	}
	if r := s.processes[s.cur.inc]; limit == "max_memory" && !r.light {
		s.pool.bloated = bloated{gen: r.gen, at: now}
	}
	s.pool.recycled = recycled{s.cur.inc, now.Add(recycleAgain), why}
	s.note(s.cur.inc, why)
	l.report(s, s.cur.inc, control.EventWorkerLimit, "is replaced: "+why)
}

// forgive takes back why a process was to be replaced: its successor has failed.
func (r *process) forgive(why string) {
	if r != nil && r.reason == why {
		r.reason = ""
	}
}

// lifetime is most less up to a tenth: another for each process.
func lifetime[T ~int64](most T, inc uint64) T {
	const parts = 101
	return most - most/10*T(inc*37%parts)/parts
}
