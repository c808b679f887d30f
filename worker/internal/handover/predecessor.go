package handover

import (
	"context"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/ipc"
)

// fileConn takes over a descriptor as a connection.
func fileConn(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "connection")
	defer f.Close() // FileConn has a copy
	return net.FileConn(f)
}

// TakeOver takes the connections of a predecessor at the other end of c, until
// it ends.
func (all *Connections) TakeOver(c *ipc.Conn) {
	defer c.Close()
	defer context.AfterFunc(all.cut, func() { _ = c.Close() })()
	for {
		m, err := c.Receive(0)
		if err != nil {
			return
		}
		err = all.take(c, &m)
		m.Discard()
		if err != nil {
			return
		}
	}
}

// take takes what it can. It serves a connection only after the predecessor can
// know that it was taken; until then the predecessor's copy counts.
func (all *Connections) take(c *ipc.Conn, m *ipc.Message) error {
	var offer ipc.Move
	if err := m.Decode(&offer); err != nil {
		return err
	}
	if m.Type == ipc.TypeMove && m.Short() {
		return c.Send(ipc.SendTimeout, ipc.TypeMoved, ipc.Moved{Taken: make([]bool, len(offer.Connections))})
	}
	if m.Type != ipc.TypeMove || len(offer.Connections) != m.FDs {
		return fmt.Errorf("offer of connections: %s is none", m.Type) // of a newer worker: it sees the end, and serves on
	}
	answer := ipc.Moved{Taken: make([]bool, m.FDs)}
	taken := make([]*conn, 0, m.FDs)
	for i, fd := range m.Files() {
		if one := all.admit(offer.Connections[i], fd); one != nil {
			answer.Taken[i] = true
			taken = append(taken, one)
		}
	}
	err := c.Send(ipc.SendTimeout, ipc.TypeMoved, answer)
	for _, one := range taken {
		if err != nil {
			one.server.parking.cancel(one)
			_ = one.end() // only a copy
			continue
		}
		one.server.parking.park(one)
	}
	return err
}

// admit prepares a place for a connection; nil if it cannot be served here.
func (all *Connections) admit(o ipc.Moving, fd int) *conn {
	l := all.listeners[o.Listener]
	if l == nil || !roomAbove(fd) || len(o.Read) > maxUnparsed {
		_ = unix.Close(fd) // only a copy
		return nil
	}
	nc, err := fileConn(fd)
	if err != nil {
		return nil
	}
	s := l.server.Load()
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		s = nil
	}
	c := &conn{Conn: nc, listener: l, server: s, replay: o.Read}
	if s == nil || s.draining.Load() && s.successor() == nil || !s.parking.reserve(c) {
		_ = nc.Close() // only a copy
		return nil
	}
	if s.draining.Load() { // again, now that it is counted: those that are counted are told
		c.handOverParked()
	}
	return all.add(c)
}

// spareDescriptors are left for what a worker accepts and opens itself.
const spareDescriptors = 64

// roomAbove reports whether descriptors are left; the kernel gives the lowest
// free one.
func roomAbove(fd int) bool {
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return err == nil && uint64(fd)+spareDescriptors < limit.Cur
}
