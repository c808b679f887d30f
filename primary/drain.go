package primary

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/ipc"
)

// term sends TERM. Another program that has not been asked to end before may
// accept already, ready or not: it is asked like one that is.
func (l *loop) term(s *slot, inc uint64) {
	r := s.processes[inc]
	if r == nil || s.pool.protocol.speaks() || r.asked || !s.pool.protocol.drain(l, s, r, ipc.Drain{}) {
		l.signal(s, inc, sigTerm)
	}
}

// lastMoment is how long sessions have after the end of the cluster: enough for
// the answer to the stop.
const lastMoment = 100 * time.Millisecond

// drain asks a worker to finish; one that cannot be asked gets TERM.
func (l *loop) drain(s *slot, a action) {
	r := s.processes[a.inc]
	if r == nil {
		return
	}
	d := l.drainOf(s, r, a)
	if r.cut = time.Now().Add(d.Deadline); d.Deadline == 0 {
		r.cut = time.Time{}
	}
	if !s.pool.protocol.drain(l, s, r, d) {
		l.askToEnd(s, r)
	}
}

// stopSignal asks a process of the pool to finish and end.
func (p *pool) stopSignal() syscall.Signal {
	if sig := unix.SignalNum("SIG" + p.spec.StopSignal); sig != 0 {
		return sig
	}
	return sigTerm
}

func (l *loop) drainOf(s *slot, r *process, a action) ipc.Drain {
	d := ipc.Drain{Linger: (a.linger || s.leaves(r)) && !l.stopping, LameDuck: s.pool.spec.LameDuck, Final: a.final || l.stopping}
	switch {
	case s.pool.spec.MaxOutgoing == 0 || d.Final && l.relays(s.pool):
		d.Deadline = s.pool.spec.LameDuck + s.pool.spec.DrainTimeout
	case d.Final:
		d.Deadline = lastMoment
	}
	return d
}
