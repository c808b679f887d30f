package inherit

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestGiven: the socket of a manager is that of slot 0, and stays open for it.
func TestGiven(t *testing.T) {
	fd, addr := given(t, "tcp", "127.0.0.1:0")
	l, err := Parse("tcp://127.0.0.1:0")
	must(t, err)
	g, err := Given(l, Slots, fd)
	must(t, err)
	must(t, g.Grow(2))
	if g.Mode() != Slots || g.Len() != 2 || g.Addr() != "tcp://"+addr {
		t.Errorf("mode %s, %d sockets on %s, want %s", g.Mode(), g.Len(), g.Addr(), addr)
	}
	must(t, g.Steer([]int{1}))
	// Those of workers that were left over have the indexes of ours.
	again, err := unix.Dup(g.FD(0))
	must(t, err)
	if _, err := Given(l, Slots, again); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("with a socket that nobody knows: %v", err)
	}
	must(t, g.Close())
}

func TestGivenUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	fd, _ := given(t, "unix", path)
	l, err := Parse("unix://" + path)
	must(t, err)
	g, err := Given(l, Slots, fd)
	must(t, err)
	must(t, g.Close())
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the file of the manager: %v", err)
	}
	other, err := Parse("unix://" + path + "2")
	must(t, err)
	fd, _ = given(t, "tcp", "127.0.0.1:0")
	if _, err := Given(other, One, fd); err == nil {
		t.Error("a socket of another address was taken")
	}
	must(t, unix.Close(fd))
}

// given is a copy of a socket that somebody else keeps open.
func given(t *testing.T, network, addr string) (fd int, bound string) {
	t.Helper()
	var c net.ListenConfig
	c.SetMultipathTCP(false)
	ln, err := c.Listen(context.Background(), network, addr)
	must(t, err)
	t.Cleanup(func() { must(t, ln.Close()) })
	f, err := ln.(interface{ File() (*os.File, error) }).File()
	must(t, err)
	defer f.Close()
	fd, err = unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	must(t, err)
	return fd, ln.Addr().String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
