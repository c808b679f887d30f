package worker

import (
	"context"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/ipc"
)

// pairOf is the conversation whose descriptor came with a message; nil when
// there was none.
func pairOf(m *ipc.Message) *ipc.Conn {
	if m.FDs != 1 {
		return nil // the message is discarded with what came with it
	}
	nc, err := fileConn(m.Files()[0])
	if err != nil {
		return nil
	}
	uc, ok := nc.(*net.UnixConn)
	if !ok {
		_ = nc.Close()
		return nil
	}
	c := ipc.NewConn(uc)
	c.Trust(true)
	return c
}

// fileConn is the connection of a descriptor, which it takes over.
func fileConn(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "connection")
	defer f.Close() // FileConn has a copy
	return net.FileConn(f)
}

// inherit takes the connections of a worker that drains, until it ends.
func (w *Worker) inherit(c *ipc.Conn) {
	defer c.Close()
	defer context.AfterFunc(w.hard, func() { _ = c.Close() })()
	for {
		m, err := c.Receive(0)
		if err != nil {
			return
		}
		err = w.inheritSome(c, &m)
		m.Discard()
		if err != nil {
			return
		}
	}
}

// inheritSome takes what it can. A connection is served only after the other
// side can know that it was taken: its own copy is as good until then.
func (w *Worker) inheritSome(c *ipc.Conn, m *ipc.Message) error {
	var offer ipc.Move
	if err := m.Decode(&offer); err != nil {
		return err
	}
	if m.Type == ipc.TypeMove && m.Short() {
		return c.Send(ipc.SendTimeout, ipc.TypeMoved, ipc.Moved{Taken: make([]bool, len(offer.Connections))})
	}
	if m.Type != ipc.TypeMove || len(offer.Connections) != m.FDs {
		return fmt.Errorf("offer of connections: %s is none", m.Type) // of a newer one: it sees the end, and serves on
	}
	answer := ipc.Moved{Taken: make([]bool, m.FDs)}
	taken := make([]*conn, 0, m.FDs)
	for i, fd := range m.Files() {
		if one := w.admit(offer.Connections[i], fd); one != nil {
			answer.Taken[i] = true
			taken = append(taken, one)
		}
	}
	err := c.Send(ipc.SendTimeout, ipc.TypeMoved, answer)
	for _, one := range taken {
		if err != nil {
			one.server.lot.cancel(one)
			_ = one.end() // only a copy
			continue
		}
		one.server.lot.park(one)
	}
	return err
}

// admit prepares a place for a connection; nil when it cannot be served here.
func (w *Worker) admit(o ipc.Moving, fd int) *conn {
	l := w.listeners[o.Listener]
	if l == nil || !roomAbove(fd) || len(o.Read) > maxUnparsed {
		_ = unix.Close(fd) // only a copy
		return nil
	}
	nc, err := fileConn(fd)
	if err != nil {
		return nil
	}
	d := l.servedBy()
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		d = nil
	}
	if d == nil {
		_ = nc.Close() // only a copy
		return nil
	}
	c := &conn{Conn: nc, from: l, server: d, replay: o.Read}
	if d.draining.Load() && d.heir() == nil || !d.lot.reserve(c) {
		_ = nc.Close() // only a copy
		return nil
	}
	if d.draining.Load() { // asked after it has a place: those that have one are told
		c.wake()
	}
	return l.know(c)
}

// spareDescriptors are left for what a worker accepts and opens itself.
const spareDescriptors = 64

// roomAbove tells whether there are descriptors left; the kernel gives the
// lowest free one.
func roomAbove(fd int) bool {
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return err == nil && uint64(fd)+spareDescriptors < limit.Cur
}
