package handover

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

// What looks at the type of a connection must find in ours what the socket
// has: the admin port its options, net/http the half-close.
func TestConnectionsOfAListenerKeepWhatTheSocketHas(t *testing.T) {
	ln := listen(t)
	client := client(t, ln)
	c, err := ln.Accept()
	must(t, err)
	defer c.Close()
	if _, err := c.(syscall.Conn).SyscallConn(); err != nil {
		t.Errorf("SyscallConn: %v", err)
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Errorf("CloseWrite: %v", err)
	}
	if n, err := client.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the client read %d bytes, %v, of a closed half", n, err)
	}
}

// TestFetchedWhenClosed: what was accepted for others before the listener was
// closed comes out of it, and nothing is accepted after the last call.
func TestFetchedWhenClosed(t *testing.T) {
	l, other := listen(t), listen(t)
	client(t, other)
	client(t, other)
	for fetch(t, l, other) {
	}
	must(t, l.Close())
	for range 2 {
		c, err := l.Accept()
		must(t, err)
		must(t, c.Close())
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v, want %v", err, net.ErrClosed)
	}
	client(t, other)
	if fetch(t, l, other) || l.all.Open() > 0 {
		t.Errorf("%d connections that no server will accept", l.all.Open())
	}
}

// fetch lets a listener accept from the socket of another.
func fetch(t testing.TB, l, from *Listener) (more bool) {
	t.Helper()
	raw, err := from.Listener.(syscall.Conn).SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) { more = l.Fetch(int(fd)) }))
	return more
}
