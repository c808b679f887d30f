package primary

import (
	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/ipc"
)

// bequeath lets a process that is asked to drain give its idle connections to
// the one that goes on: each gets one end of a pair of sockets, and this
// process has no part in what goes over it. Without an heir the connections are
// told to go.
func (l *loop) bequeath(s *seat, old *run, m *outgoing) {
	heir := s.heir(old.inc)
	if l.stopping || s.pool.spec.BuiltIn || old.conv == nil || heir == nil || heir.conv.crowded() {
		return
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return // no descriptors left
	}
	legacy := descriptor(pair[0], outgoing{kind: ipc.TypeLegacy})
	if !heir.conv.pass(legacy) {
		legacy.release()
		_ = unix.Close(pair[1]) // only this process has it
		return
	}
	*m = descriptor(pair[1], *m)
}

// descriptor is m with a descriptor that is closed when it has been sent.
func descriptor(fd int, m outgoing) outgoing {
	m.fds, m.free = []int{fd}, func() error { return unix.Close(fd) }
	return m
}

// heir is who goes on when the process has gone: who serves in its slot now,
// or, when the slot is emptied, any other of the pool.
func (s *seat) heir(inc uint64) *run {
	var others []*run
	for _, o := range s.pool.seats {
		r := o.runs[o.cur.inc]
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

// rebequeath names a new heir to the other processes that still drain, of the
// slot and of those that are emptied: the one that they had may be on its way
// out.
func (l *loop) rebequeath(s *seat, but uint64) {
	for _, o := range s.pool.seats {
		if o != s && o.serving(o.cur) {
			continue // theirs is another
		}
		for _, p := range o.old {
			if r := o.runs[p.inc]; r != nil && p.inc != but && p.ending == told && !p.final {
				l.renew(o, r)
			}
		}
	}
}

// renew names the heir of a process that drains anew.
func (l *loop) renew(s *seat, old *run) {
	m := outgoing{kind: ipc.TypeDrain, body: l.drainOf(s, old, action{})}
	l.bequeath(s, old, &m)
	if m.fds != nil && !old.conv.pass(m) {
		m.release()
	}
}
