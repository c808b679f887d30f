package primary

import (
	"math/rand/v2"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

// relieve has a ready worker accept the connections that wait in sockets where
// nobody accepts: those of slots that are dead, back off, or hang. New ones go
// elsewhere, but what the kernel has queued, or was just about to, stays there.
func (l *loop) relieve() {
	if l.stopping {
		return
	}
	for _, p := range l.pools {
		for _, o := range p.open {
			p.relieveListener(o)
		}
	}
}

func (p *pool) relieveListener(o *listener) {
	if o.group.Mode() != inherit.Slots {
		return // one socket, on which all accept
	}
	var able []*process
	var alone []unix.PollFd
	var slots []int
	for slot, fd := range o.group.FDs() {
		var r *process // the process that accepts there
		if slot < len(p.slots) {
			r = p.slots[slot].accepting(o)
		}
		switch {
		case r == nil:
			alone, slots = append(alone, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}), append(slots, slot)
		case r.conv != nil && !r.conv.crowded():
			able = append(able, r)
		}
	}
	if len(able) == 0 || len(alone) == 0 {
		return
	}
	if n, err := unix.Poll(alone, 0); n == 0 || err != nil {
		return // it is asked again soon
	}
	r := able[rand.N(len(able))]
	m := ipc.Accept{Listener: p.nameFor(r.gen, o)}
	for i, one := range alone {
		if one.Revents&unix.POLLIN != 0 {
			m.Slots = append(m.Slots, slots[i])
		}
	}
	r.conv.send(ipc.TypeAccept, m)
}
