package primary

import (
	"fmt"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/notify"
)

// takeIn handles a message of a process.
func (l *loop) takeIn(s *slot, r *process, m notify.Message) {
	if m.Status != nil && !(m.Late && r.spoke) {
		r.status = *m.Status
		r.spoke = r.spoke || !m.Late
	}
	if m.MainPID > 0 {
		l.follow(s, r, m.MainPID)
	}
	if m.Store {
		l.store(s, r, m)
	}
	if m.Remove {
		s.discard(func(d *stored) bool { return d.name == m.Name })
	}
	if m.Extend > 0 {
		r.extended = time.Now().Add(m.Extend)
	}
	if m.Stopping && !r.leaving {
		r.leaving = true
		l.persist(false) // it will not say so again
		l.mustLeave(s, r, s.pool.spec.DrainTimeout)
	}
	if m.Alive {
		r.heard = time.Now()
	}
	if m.Reloading {
		l.reloads(s, r, m.Since)
	}
	if m.Ready {
		l.hasReloaded(s, r)
		l.becameReady(s, r.inc)
	}
	if m.Stuck {
		s.note(r.inc, "it asked for its end (WATCHDOG=trigger)")
		l.step(s, input{kind: hLost, inc: r.inc})
	}
}

// mustLeave ends a process that has said that it ends by itself, and does not: its
// slot gets no connections any more.
func (l *loop) mustLeave(s *slot, r *process, after time.Duration) {
	l.later(s, r, after, func(l *loop) {
		if left := time.Until(r.extended); left > 0 {
			l.mustLeave(s, r, left)
			return
		}
		if s.endedByUs(r.inc) {
			return // that has its own time
		}
		s.note(r.inc, fmt.Sprintf("it said STOPPING=1 and has not ended within %v", s.pool.spec.DrainTimeout))
		l.step(s, input{kind: hLost, inc: r.inc})
	})
}

// reloads notes that a process takes in its configuration anew: it serves on, and says
// READY=1 when it is done. begun is when that began on the monotonic clock; 0: now.
func (l *loop) reloads(s *slot, r *process, begun time.Duration) {
	if p, _ := s.find(r.inc); !p.ready || r.leaving {
		return // it starts or ends, which has a limit of its own
	}
	r.reloading, r.overdue = time.Now(), false
	if now := monotonic(); begun > 0 && begun <= now && begun >= now-time.Since(r.since) {
		r.reloading = r.reloading.Add(begun - now)
	}
	l.report(s, r.inc, control.EventWorkerReloading, "reloads itself")
	l.mustReload(s, r)
}

// mustReload tells of a process that has not said READY=1 in time.
func (l *loop) mustReload(s *slot, r *process) {
	begun, limit := r.reloading, s.pool.spec.ReadyTimeout
	left := max(time.Until(begun.Add(limit)), time.Until(r.extended))
	l.later(s, r, left, func(l *loop) {
		switch {
		case r.reloading != begun || r.leaving:
		case time.Now().Before(r.extended):
			l.mustReload(s, r)
		default:
			r.overdue = true
			l.report(s, r.inc, control.EventWorkerTrouble, fmt.Sprintf("said RELOADING=1 and has not said READY=1 within %v", limit))
		}
	})
}

func (l *loop) hasReloaded(s *slot, r *process) {
	if r.reloading.IsZero() {
		return
	}
	took := time.Since(r.reloading).Round(time.Millisecond)
	r.reloading, r.overdue = time.Time{}, false
	l.report(s, r.inc, control.EventWorkerReloading, fmt.Sprintf("has reloaded itself, after %v", took))
}
