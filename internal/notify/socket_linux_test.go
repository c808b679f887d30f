package notify

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTellIsReceivedWithItsSender(t *testing.T) {
	s := listen(t, filepath.Join(t.TempDir(), "notify.sock"))
	t.Setenv(Variable, s.Path())
	must(t, Tell(strings.Repeat("x", maxDatagram+1))) // is passed over
	must(t, Tell("READY=1"))
	m := receive(t, s)
	if !m.Ready || m.From[0] != os.Getpid() || m.From[1] != os.Getppid() {
		t.Errorf("got %+v", m)
	}
	t.Setenv(Variable, "")
	must(t, Tell("READY=1"))
}

func TestSocketTakesThePlaceOfAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify.sock")
	first, err := Listen(path)
	must(t, err)
	second, err := Listen(path)
	must(t, err)
	t.Setenv(Variable, path)
	must(t, Tell("STOPPING=1"))
	if m := receive(t, second); !m.Stopping {
		t.Errorf("got %+v", m)
	}
	must(t, Tell("READY=1"))
	second = readopted(t, second)
	if m := receive(t, second); !m.Ready {
		t.Errorf("after it was taken over: %+v", m)
	}
	must(t, second.Close())
	if err := second.Wait(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	must(t, first.conn.Close())
}

// readopted is s as the next image of its process has it.
func readopted(t *testing.T, s *Socket) *Socket {
	t.Helper()
	f, err := s.conn.File() // a copy, as over an exec
	must(t, err)
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	must(t, err)
	must(t, f.Close())
	next, err := Adopt(fd, s.path)
	must(t, err)
	must(t, s.conn.Close())
	return next
}

// A sender of a barrier waits until its descriptor is closed.
func TestBarrier(t *testing.T) {
	s := listen(t, filepath.Join(t.TempDir(), "notify.sock"))
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(fd)
	must(t, unix.Sendmsg(fd, []byte("BARRIER=1"), unix.UnixRights(int(w.Fd())), &unix.SockaddrUnix{Name: s.Path()}, 0))
	must(t, w.Close())
	receive(t, s)
	must(t, r.SetReadDeadline(time.Now().Add(20*time.Second)))
	if n, err := r.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d, %v; want the end of the pipe", n, err)
	}
}

func TestPathTooLong(t *testing.T) {
	_, err := Listen("/" + strings.Repeat("x", maxPath))
	if err == nil || !strings.Contains(err.Error(), "use a shorter directory") {
		t.Errorf("got %v", err)
	}
}

func listen(t *testing.T, path string) *Socket {
	t.Helper()
	s, err := Listen(path)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func receive(t *testing.T, s *Socket) Message {
	t.Helper()
	must(t, s.conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	must(t, s.Wait())
	m, ok := s.Take()
	if !ok {
		t.Fatal("there is no message")
	}
	return m
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
