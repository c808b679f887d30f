package inherit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// longDir is a directory whose path does not fit into a socket address.
func longDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestUnixGroup(t *testing.T) {
	for name, dir := range map[string]string{"short": t.TempDir(), "long": longDir(t)} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "app.sock")
			g := mustOpen(t, "unix://"+path, Slots, 4)
			if g.Mode() != One || g.Addr() != "unix://"+path || g.FD(3) != g.FD(0) {
				t.Errorf("mode %s, address %s, descriptors %d and %d", g.Mode(), g.Addr(), g.FD(0), g.FD(3))
			}
			l := listenersOf(t, g)[0]
			answers(t, path, l)
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Lstat(path); err != nil {
				t.Errorf("after a process closed its copy: %v", err)
			}
			refused(t, "unix://"+path, One,
				fmt.Sprintf("listen unix %s: address already in use by pid %d (inherit.test)", path, os.Getpid()))
			if err := g.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("after the final stop: %v", err)
			}
		})
	}
}

// answers checks that l accepts a connection to path.
func answers(t *testing.T, path string, l net.Listener) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := DialUnix(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := l.(*net.UnixListener).SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
}

func TestAStaleSocketIsReplacedAndNothingElse(t *testing.T) {
	for name, dir := range map[string]string{"short": t.TempDir(), "long": longDir(t)} {
		stale := filepath.Join(dir, "stale")
		l, err := ListenUnix(stale, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		l.Close() // leaves the file
		mustOpen(t, "unix://"+stale, One, 1)

		file := filepath.Join(dir, "file")
		if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = Open(Listen{Path: file}, One)
		if err == nil || !strings.Contains(err.Error(), "not a socket") {
			t.Errorf("%s: listen on a file: %v", name, err)
		}
		if b, err := os.ReadFile(file); string(b) != "precious" || err != nil {
			t.Errorf("%s: the file is %q, %v", name, b, err)
		}
	}
	_, err := Open(Listen{Path: filepath.Join(t.TempDir(), "none", "a.sock")}, One)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("listen in no directory: %v", err)
	}
}

// A socket whose queue is full is alive.
func TestABusySocketIsNotStale(t *testing.T) {
	path := filepath.Join(t.TempDir(), "busy")
	fd := fullSocket(t, path)
	if _, err := Open(Listen{Path: path}, One); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("open of a busy socket: %v", err)
	}
	if err := DialUntil(t, path, 30*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("dial of a busy socket: %v", err)
	}
	// As soon as there is room a waiting dial succeeds.
	dialled := make(chan error, 1)
	go func() { dialled <- DialUntil(t, path, patience) }()
	for range 2 {
		accepted, err := acceptWithin(fd)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(accepted)
	}
	if err := <-dialled; err != nil {
		t.Error(err)
	}
}

// DialUntil dials for at most d.
func DialUntil(t *testing.T, path string, d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	c, err := DialUnix(ctx, path)
	if err == nil {
		c.Close()
	}
	return err
}

// fullSocket listens on path with room for one connection, which is taken.
func fullSocket(t *testing.T, path string) (fd int) {
	t.Helper()
	f, err := newUnixFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	fd, err = f.unixSocket(f.name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return fd
}

func TestCloseLeavesTheFileOfAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.sock")
	l, err := Parse("unix://" + path)
	if err != nil {
		t.Fatal(err)
	}
	g, err := Open(l, One)
	if err != nil {
		t.Fatal(err)
	}
	next, err := ListenUnix(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	answers(t, path, next)
}

func TestListenUnixReplacesAndSetsTheMode(t *testing.T) {
	for name, dir := range map[string]string{"short": t.TempDir(), "long": longDir(t)} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "ctl.sock")
			if err := os.WriteFile(filepath.Join(dir, ".ctl.sock.new"), nil, 0o600); err != nil {
				t.Fatal(err) // left by a crashed process
			}
			for _, mode := range []os.FileMode{0o600, 0o666} {
				l, err := ListenUnix(path, mode)
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				if st, err := os.Stat(path); err != nil || st.Mode() != mode|os.ModeSocket {
					t.Errorf("file %v, %v; want mode %v", st.Mode(), err, mode)
				}
				answers(t, path, l)
			}
			if entries, err := os.ReadDir(dir); len(entries) != 1 || err != nil {
				t.Errorf("%v are left beside the socket, %v", entries, err)
			}
		})
	}
}

func TestANameThatIsTooLong(t *testing.T) {
	path := filepath.Join(longDir(t), strings.Repeat("n", 100))
	if _, err := ListenUnix(path, 0o600); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("listen: %v", err)
	}
	if _, err := DialUnix(context.Background(), path); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("dial: %v", err)
	}
	if _, err := Open(Listen{Path: path}, One); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("open: %v", err)
	}
}

func TestDialOfNobody(t *testing.T) {
	for _, dir := range []string{t.TempDir(), longDir(t)} {
		_, err := DialUnix(context.Background(), filepath.Join(dir, "none.sock"))
		if !errors.Is(err, os.ErrNotExist) || strings.Contains(err.Error(), "/proc/self") {
			t.Errorf("dial: %v", err)
		}
	}
}
