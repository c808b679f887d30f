package inherit

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The environment of this binary as a child of a test: the role that it plays
// and an address.
const (
	roleVariable = "INHERIT_TEST_ROLE"
	addrVariable = "INHERIT_TEST_ADDR"
)

// patience is how long anything in these tests may take before it has failed.
const patience = time.Minute

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := play(role); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// play is a child's life. It says one line on its standard output when it is
// ready, and stays until its standard input ends.
func play(role string) (err error) {
	var said string
	switch role {
	case "hold alone":
		_, said, err = hold(alone)
	case "hold shared":
		_, said, err = hold(shared)
	case "hold and hand on":
		var fd int
		if fd, said, err = hold(shared); err == nil {
			_, err = spawn("hold inherited", []int{0, 1, 2, fd})
		}
	case "hold inherited":
	case "serve":
		said, err = "ready", serve(3)
	case "hand over":
		said, err = handOver(3)
	case "before exec":
		return beforeExec()
	case "after exec":
		said, err = afterExec()
	}
	if err != nil {
		return err
	}
	if said != "" {
		fmt.Println(said)
	}
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	return nil
}

func hold(k kind) (fd int, addr string, err error) {
	fd, err = tcpSocket(netip.MustParseAddrPort(os.Getenv(addrVariable)), k)
	if err != nil {
		return -1, "", err
	}
	bound, err := boundTo(fd)
	return fd, bound.String(), err
}

// serve answers connections on an inherited socket with its pid until it is
// killed or its standard input ends.
func serve(fd int) error {
	l, err := Listener(fd)
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(c, os.Getpid())
			c.Close()
		}
	}()
	return nil
}

func spawn(role string, files []int, env ...string) (pid int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	fds := make([]uintptr, len(files))
	for i, fd := range files {
		fds[i] = uintptr(fd)
	}
	// The race detector sleeps for a second at exit unless told not to.
	env = append(env, roleVariable+"="+role, "GORACE=atexit_sleep_ms=0")
	return syscall.ForkExec(self, []string{self}, &syscall.ProcAttr{Env: env, Files: fds})
}

// startRole starts a child, returns its pid and the line that it said, and ends
// it with the test.
func startRole(t *testing.T, role, addr string, extra ...int) (pid int, said string) {
	t.Helper()
	a := start(t, role, addr, extra...)
	return a.pid, a.line(t)
}

// actor is a child that plays a role.
type actor struct {
	pid   int
	stdin *os.File
	out   *bufio.Reader // what it says
	end   func()        // ends it, once
}

// start starts a child and ends it with the test.
func start(t *testing.T, role, addr string, extra ...int) *actor {
	t.Helper()
	in, stdin := pipe(t)
	out, stdout := pipe(t)
	pid, err := spawn(role, append([]int{int(in.Fd()), int(stdout.Fd()), 2}, extra...), addrVariable+"="+addr)
	in.Close()
	stdout.Close()
	if err != nil {
		t.Fatal(err)
	}
	a := &actor{pid: pid, stdin: stdin, out: bufio.NewReader(out)}
	a.end = sync.OnceFunc(func() {
		stdin.Close()
		out.Close()
		if _, err := syscall.Wait4(pid, nil, 0, nil); err != nil {
			t.Errorf("wait for %s: %v", role, err)
		}
	})
	t.Cleanup(a.end)
	if err := out.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return a
}

// line is the next that the child says.
func (a *actor) line(t *testing.T) string {
	t.Helper()
	said, err := a.out.ReadString('\n')
	if err != nil {
		t.Fatalf("read from process %d: %v", a.pid, err)
	}
	return strings.TrimSpace(said)
}

// kill ends the child at once.
func (a *actor) kill(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(a.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	a.end()
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

// mustOpen opens a group and closes it with the test.
func mustOpen(t *testing.T, addr, share string, slots int) *Group {
	t.Helper()
	l, err := Parse(addr)
	if err != nil {
		t.Fatal(err)
	}
	g, err := Open(l, share)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := g.Grow(slots); err != nil {
		t.Fatal(err)
	}
	return g
}

// dial connects to a group.
func dial(t *testing.T, g *Group) net.Conn {
	t.Helper()
	return dialAddr(t, g.Addr())
}

func dialAddr(t *testing.T, address string) net.Conn {
	t.Helper()
	network, addr, _ := strings.Cut(address, "://")
	c, err := net.DialTimeout(network, addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}
