package inherit

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A process that inherits a socket serves on it, turns it to blocking mode for
// nobody, and takes nothing with it when it ends.
func TestAChildServesAndTheSocketStays(t *testing.T) {
	for name, addr := range map[string]string{
		"slots": "tcp://127.0.0.1:0",
		"unix":  "unix://" + filepath.Join(t.TempDir(), "app.sock"),
	} {
		t.Run(name, func(t *testing.T) {
			g := mustOpen(t, addr, Slots, 2)
			steer(t, g, []int{1})
			for range 2 {
				t.Run("process", func(t *testing.T) {
					pid, _ := startRole(t, "serve", "", g.FD(1))
					c := dial(t, g)
					defer c.Close()
					got, err := bufio.NewReader(c).ReadString('\n')
					if got != fmt.Sprintln(pid) || err != nil {
						t.Errorf("answer %q, %v; want pid %d", got, err, pid)
					}
				})
				flags, err := unix.FcntlInt(uintptr(g.FD(1)), unix.F_GETFL, 0)
				if err != nil || flags&unix.O_NONBLOCK == 0 {
					t.Errorf("flags of the socket %#x, %v; want O_NONBLOCK", flags, err)
				}
			}
		})
	}
}

func TestListenerTakesOverWhatListensOnly(t *testing.T) {
	g := mustOpen(t, "tcp://127.0.0.1:0", Slots, 1)
	fd, err := syscall.Dup(g.FD(0)) // as inherited: no CLOEXEC
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listener(fd)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := unix.FcntlInt(uintptr(g.FD(0)), unix.F_GETFD, 0); err != nil {
		t.Errorf("the group's own descriptor: %v", err)
	}

	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	idle, err := newTCPSocket(g.bound.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(idle)
	for _, bad := range []int{int(file.Fd()), idle} {
		if _, err := Listener(bad); !errors.Is(err, errNotListening) {
			t.Errorf("listener of descriptor %d: %v", bad, err)
		}
		if _, err := unix.FcntlInt(uintptr(bad), unix.F_GETFD, 0); err != nil {
			t.Errorf("a descriptor that was refused: %v", err)
		}
	}
	if _, err := Listener(-1); !errors.Is(err, unix.EBADF) {
		t.Errorf("listener of -1: %v", err)
	}
}

func TestGroupsLeaveNoDescriptors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	round := func() {
		for _, addr := range []string{"tcp://127.0.0.1:0", "unix://" + path} {
			l, err := Parse(addr)
			if err != nil {
				t.Fatal(err)
			}
			g, err := Open(l, Slots)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Open(Listen{TCP: g.bound, Path: l.Path}, Slots); err == nil {
				t.Error("opened twice")
			}
			if err := errors.Join(g.Grow(8), g.Steer([]int{0}), g.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	round()
	before := openFiles(t)
	for range 10 {
		round()
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d descriptors are open, %d before", after, before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestHold: the sockets of a group stay open for a holder of their numbers.
func TestHold(t *testing.T) {
	at, err := Parse("tcp://127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g, err := Open(at, Slots)
	if err != nil {
		t.Fatal(err)
	}
	one, other := g.Hold(), g.Hold()
	fd := g.FD(0)
	listens := func() bool {
		n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		return err == nil && n == 1
	}
	one()
	one()
	if err := g.Close(); err != nil || !listens() {
		t.Errorf("closed while it was held: %v", err)
	}
	if other(); listens() {
		t.Error("open, though nobody holds it")
	}
}
