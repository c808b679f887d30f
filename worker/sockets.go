package worker

import (
	"sync"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/ipc"
)

// sockets are all listening sockets of the pool. A worker accepts only on those
// of its own slot; it keeps the others so that whoever survives a primary can
// give the whole set back to the next. mu is a leaf.
type sockets struct {
	mu     sync.Mutex
	kept   []ipc.Socket
	closed bool
}

// socketsPerMessage is below what one message of the kernel carries
// (SCM_MAX_FD, unix(7)).
const socketsPerMessage = 32

// inherit takes over the descriptors that the process was started with.
func (s *sockets) inherit(all []ipc.Socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	closeOnExec(all)
	s.kept = all
}

// closeOnExec takes one system call for the hundreds of a large pool, where they
// are in a row, as a primary passes them on, and the kernel can (Linux 5.11,
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
		return // the message is discarded with what came with it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	for i, fd := range m.Files() {
		more.Sockets[i].FD = fd
		s.keep(more.Sockets[i])
	}
}

// keep takes the place of an earlier socket of the same slot: one that a
// primary made and that no other process has is of no use, and its place among
// the pool's sockets is another's.
func (s *sockets) keep(k ipc.Socket) {
	for i, old := range s.kept {
		if old.Name == k.Name && old.Slot == k.Slot {
			_ = unix.Close(old.FD) // nothing to be done about it
			s.kept[i] = k
			return
		}
	}
	s.kept = append(s.kept, k)
}

// count is how many are kept.
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
		_ = unix.Close(k.FD) // nothing to be done about it
	}
	s.kept, s.closed = nil, true
}
