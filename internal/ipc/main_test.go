package ipc

import (
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// soon is how long anything in these tests may take before it has failed.
const soon = time.Minute

// pair is both ends of a connection.
func pair(t testing.TB) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	return unixConn(t, fds[0]), unixConn(t, fds[1])
}

func unixConn(t testing.TB, fd int) *net.UnixConn {
	t.Helper()
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close() // FileConn has a copy
	c, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.UnixConn)
}

// conns is a conversation with both its ends.
func conns(t testing.TB) (a, b *Conn) {
	t.Helper()
	x, y := pair(t)
	return NewConn(x), NewConn(y)
}

// openFDs counts our descriptors.
func openFDs(t testing.TB) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// wire is a message as it goes over the wire.
func wire(t testing.TB, kind string, fds int, body any) []byte {
	t.Helper()
	raw, err := Encode(body)
	if err != nil {
		t.Fatal(err)
	}
	data, err := encoding.Marshal(Message{Type: kind, FDs: fds, Body: raw})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
