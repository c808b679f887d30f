package primary

import (
	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/ipc"
)

// handOver lets a process that is asked to drain give its idle connections to its
// successor: each gets one end of a pair of sockets, and the primary has no part
// in the rest. Without a successor the connections are told to go.
func (l *loop) handOver(s *slot, old *process, m *outgoing) {
	successor := s.successor(old.inc)
	if l.stopping || s.pool.spec.MaxOutgoing > 0 && !l.relays(s.pool) || old.conv == nil || successor == nil || successor.conv.crowded() {
		return
	}
	l.introduce(successor.conv, ipc.TypeHandover, m)
}

// introduce makes a conversation between two workers: it gives one end to the
// first, with a message of that kind, and puts the other into m.
func (l *loop) introduce(first *conversation, kind string, m *outgoing) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return // no descriptors left
	}
	end := descriptor(pair[0], outgoing{kind: kind})
	if !first.pass(end) {
		end.release()
		_ = unix.Close(pair[1])
		return
	}
	*m = descriptor(pair[1], *m)
}

// passState answers the processes of a slot that wait for the state of their
// predecessor. It is called whenever one of them has come or gone: a predecessor
// that has not said hello to this primary yet is waited for.
func (l *loop) passState(s *slot) {
	old := s.processes[s.cur.inc]
	for _, p := range []processState{s.cur, s.next} {
		r := s.processes[p.inc]
		if r == nil || !r.prepared || r.handle == nil || !r.conv.lasts() {
			continue // the sender is not proved before its pid is known
		}
		if old == nil || old == r || !s.cur.serves() {
			r.prepared = !r.conv.send(ipc.TypeInherit, nil)
			continue
		}
		m := outgoing{kind: ipc.TypeYield}
		if !old.conv.lasts() {
			continue
		}
		if l.introduce(r.conv, ipc.TypeInherit, &m); m.fds == nil {
			continue // it says so again in its next hello, or its time to become ready is over
		}
		r.prepared, r.introduced = false, true
		if !old.conv.pass(m) {
			m.release() // the successor sees the end, and asks again
		}
	}
}

// descriptor is m with a descriptor that is closed once it is sent.
func descriptor(fd int, m outgoing) outgoing {
	m.fds, m.free = []int{fd}, func() error { return unix.Close(fd) }
	return m
}

// successor is the process that goes on: the one that serves in the slot now or,
// if the slot is emptied, any other of the pool.
func (s *slot) successor(inc uint64) *process {
	var others []*process
	for _, o := range s.pool.slots {
		r := o.processes[o.cur.inc]
		if o.cur.inc == inc || !o.serving(o.cur) || r.conv == nil || o.want != wantRun || o.index >= o.pool.target {
			continue
		}
		if o == s {
			return r
		}
		others = append(others, r)
	}
	if len(others) == 0 {
		return nil
	}
	return others[inc%uint64(len(others))]
}

// handOverAgain names a new successor to the other processes that still drain, in
// the slot or in emptied slots: theirs may be about to end.
func (l *loop) handOverAgain(s *slot, but uint64) {
	for _, o := range s.pool.slots {
		if o != s && o.serving(o.cur) {
			continue // they have another successor
		}
		for _, p := range o.old {
			if r := o.processes[p.inc]; r != nil && p.inc != but && p.ending == told && !p.final {
				l.renew(o, r, action{linger: p.linger})
			}
		}
	}
}

// renew names a new successor to a process that drains.
func (l *loop) renew(s *slot, old *process, a action) {
	m := outgoing{kind: ipc.TypeDrain, body: l.drainOf(s, old, a)}
	l.handOver(s, old, &m)
	if m.fds != nil && !old.conv.pass(m) {
		m.release()
	}
}
