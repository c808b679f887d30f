package worker

import (
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/worker/internal/handover"
)

// sockets are all listening sockets of the pool. A worker accepts on those of its
// own slot, and on others only when asked to; it keeps them so that each worker
// that survives a primary can give the whole set to the next. mu may be held when
// a listener's is locked.
type sockets struct {
	mu     sync.Mutex
	kept   []ipc.Socket
	ear    ear
	closed bool
}

// socketsPerMessage is below the limit of one message of the kernel (SCM_MAX_FD,
// unix(7)).
const socketsPerMessage = 32

// inherit takes over the descriptors with which the process was started.
func (s *sockets) inherit(all []ipc.Socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	closeOnExec(all)
	s.kept = all
}

// closeOnExec needs one system call for the hundreds of a large pool if they are
// in a row, as a primary passes them on, and the kernel can (Linux 5.11,
// close_range(2)).
func closeOnExec(all []ipc.Socket) {
	if inARow(all) && unix.CloseRange(uint(all[0].FD), uint(all[len(all)-1].FD), unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	for _, k := range all {
		unix.CloseOnExec(k.FD)
	}
}

func inARow(all []ipc.Socket) bool {
	for i, k := range all {
		if k.FD != all[0].FD+i {
			return false
		}
	}
	return len(all) > 0
}

// add takes over the sockets of a message: the pool has grown.
func (s *sockets) add(m *ipc.Message) {
	var more ipc.Sockets
	if m.Decode(&more) != nil || len(more.Sockets) != m.FDs {
		return // the message is discarded with its descriptors
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	for i, fd := range m.Files() {
		more.Sockets[i].FD = fd
		if more.Sockets[i].Name == ipc.NotifySocket {
			s.ear.open(fd)
			continue
		}
		s.keep(more.Sockets[i])
	}
	s.kept = slices.DeleteFunc(s.kept, func(k ipc.Socket) bool {
		drop := slices.Contains(more.Drop, k.Name)
		if drop {
			_ = unix.Close(k.FD)
		}
		return drop
	})
}

// keep replaces an earlier socket of the same slot: one that a lost primary made
// and no other process has is useless, and its place in the pool is taken.
func (s *sockets) keep(k ipc.Socket) {
	for i, old := range s.kept {
		if old.Name == k.Name && old.Slot == k.Slot {
			_ = unix.Close(old.FD)
			s.kept[i] = k
			return
		}
	}
	s.kept = append(s.kept, k)
}

// acceptOn lets the listener of that name, if there is one, accept the
// connections that wait in the sockets of some slots.
func (s *sockets) acceptOn(l *handover.Listener, name string, slots []int) {
	if l == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock() // nothing is closed meanwhile
	for _, k := range s.kept {
		if k.Name == name && slices.Contains(slots, k.Slot) {
			for l.Fetch(k.FD) {
			}
		}
	}
}

func (s *sockets) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.kept)
}

// giveBack sends all of them to a primary that has none.
func (s *sockets) giveBack(c *ipc.Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock() // nothing is closed while it is being sent
	rest := s.kept
	for {
		part := rest[:min(len(rest), socketsPerMessage)]
		rest = rest[len(part):]
		fds := make([]int, len(part))
		for i, k := range part {
			fds[i] = k.FD
		}
		if err := c.Send(ipc.SendTimeout, ipc.TypeSockets, ipc.Sockets{Sockets: part, Last: len(rest) == 0}, fds...); err != nil {
			return err
		}
		if len(rest) == 0 {
			return nil
		}
	}
}

func (s *sockets) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.kept {
		_ = unix.Close(k.FD)
	}
	s.kept, s.closed = nil, true
	s.ear.close()
}
