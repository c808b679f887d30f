package inherit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// keptVariable passes descriptors over exec.
const keptVariable = "INHERIT_TEST_KEPT"

// keptSlots are the slots of the group that goes through an exec.
const keptSlots = 3

// beforeExec listens on TCP and on a unix socket, accepts nothing, and executes
// this binary in its place when it is told to.
func beforeExec() error {
	g, l, err := listenForExec()
	if err != nil {
		return err
	}
	fmt.Println(g.Addr())
	if _, err := io.ReadFull(os.Stdin, make([]byte, 1)); err != nil {
		return err
	}
	fd, err := RawFD(l)
	if err != nil {
		return err
	}
	fds := append(g.FDs(), fd)
	if err := failedExec(fds); err != nil {
		return err
	}
	if _, err := KeepOverExec(fds); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	env := []string{
		roleVariable + "=after exec", "GORACE=atexit_sleep_ms=0",
		addrVariable + "=" + os.Getenv(addrVariable), keptVariable + "=" + strings.Trim(fmt.Sprint(fds), "[]"),
	}
	return syscall.Exec(self, []string{self}, env)
}

func listenForExec() (*Group, *net.UnixListener, error) {
	l, err := ListenUnix(os.Getenv(addrVariable), 0o600)
	if err != nil {
		return nil, nil, err
	}
	listen, err := Parse("tcp://127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	g, err := Open(listen, Slots)
	if err != nil {
		return nil, nil, err
	}
	if err := g.Grow(keptSlots); err != nil {
		return nil, nil, err
	}
	return g, l, g.Steer([]int{g.Len() - 1})
}

// failedExec is undone.
func failedExec(fds []int) error {
	undo, err := KeepOverExec(fds)
	if err != nil {
		return err
	}
	if err := syscall.Exec("/nonexistent/program", []string{"program"}, nil); !errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("exec of nothing: %w", err)
	}
	undo()
	for _, fd := range fds {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); flags != unix.FD_CLOEXEC || err != nil {
			return fmt.Errorf("flags of descriptor %d after a failed exec: %d, %w", fd, flags, err)
		}
	}
	return nil
}

// afterExec serves on what was kept, each connection with the name of its
// socket, and says what else came over.
func afterExec() (said string, err error) {
	sockets, err := openSockets()
	if err != nil {
		return "", err
	}
	var fds []int
	for f := range strings.FieldsSeq(os.Getenv(keptVariable)) {
		fd, err := strconv.Atoi(f)
		if err != nil {
			return "", err
		}
		fds = append(fds, fd)
	}
	if err := CloseOnExec(fds); err != nil {
		return "", err
	}
	listen, err := Parse("tcp://127.0.0.1:0")
	if err != nil {
		return "", err
	}
	last := len(fds) - 1
	g, err := Restore(listen, Slots, fds[:last])
	if err != nil {
		return "", err
	}
	l, err := AdoptUnix(fds[last])
	if err != nil {
		return "", err
	}
	go tell(l, "unix")
	for slot, fd := range g.FDs() {
		copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return "", err
		}
		l, err := Listener(copied)
		if err != nil {
			return "", err
		}
		go tell(l, "slot "+strconv.Itoa(slot))
	}
	return fmt.Sprintf("%s %s %d", g.Mode(), g.Addr(), sockets-len(fds)), nil
}

// openSockets counts the sockets that this process has.
func openSockets() (n int, err error) {
	entries, err := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(target, "socket:") {
			n++
		}
	}
	return n, err
}

// tell answers connections with a line until the process ends.
func tell(l net.Listener, line string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprintf(c, "%s pid %d\n", line, os.Getpid())
		c.Close()
	}
}

// Connections that wait when a process executes another program in its place,
// and those that come meanwhile, are served by that one: none is lost.
func TestExecInPlaceLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ctl.sock")
	a := start(t, "before exec", path)
	addr := a.line(t)
	var waiting []net.Conn
	for range 20 {
		waiting = append(waiting, dialAddr(t, addr), dialAddr(t, "unix://"+path))
	}
	if _, err := a.stdin.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	during := make([]net.Conn, 40)
	var dialling sync.WaitGroup
	for i := range during {
		dialling.Go(func() { during[i], _ = net.DialTimeout("tcp", strings.TrimPrefix(addr, "tcp://"), patience) })
	}
	dialling.Wait()
	all := append(waiting, during...)
	defer closeAll(all)
	said := strings.Fields(a.line(t))
	if len(said) != 3 || said[1] != addr || said[2] != "0" {
		t.Fatalf("after exec: %v; want %s, and no sockets but what was kept", said, addr)
	}
	slot := 0
	if said[0] == Slots {
		slot = keptSlots - 1
	}
	for i, c := range all {
		want := fmt.Sprintf("slot %d pid %d\n", slot, a.pid)
		if i < len(waiting) && i%2 == 1 {
			want = fmt.Sprintf("unix pid %d\n", a.pid)
		}
		checkAnswer(t, i, c, want)
	}
}

func closeAll(all []net.Conn) {
	for _, c := range all {
		if c != nil {
			c.Close()
		}
	}
}

func checkAnswer(t *testing.T, i int, c net.Conn, want string) {
	t.Helper()
	if c == nil {
		t.Errorf("connection %d was refused", i)
		return
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if got, err := bufio.NewReader(c).ReadString('\n'); got != want || err != nil {
		t.Errorf("connection %d: %q, %v; want %q", i, got, err, want)
	}
}

func TestKeepOverExecIsAllOrNothing(t *testing.T) {
	r, w := pipe(t)
	defer r.Close()
	defer w.Close()
	fds := []int{int(r.Fd()), int(w.Fd())}
	flags := func(want int) {
		t.Helper()
		for _, fd := range fds {
			if got, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); got != want || err != nil {
				t.Errorf("flags of descriptor %d: %d, %v; want %d", fd, got, err, want)
			}
		}
	}
	flags(unix.FD_CLOEXEC)
	if _, err := KeepOverExec(append(fds, -1)); !errors.Is(err, unix.EBADF) {
		t.Errorf("keep -1: %v", err)
	}
	flags(unix.FD_CLOEXEC)
	undo, err := KeepOverExec(fds)
	if err != nil {
		t.Fatal(err)
	}
	flags(0)
	undo()
	flags(unix.FD_CLOEXEC)
	if _, err := KeepOverExec(fds); err != nil {
		t.Fatal(err)
	}
	if err := CloseOnExec([]int{fds[0], -1, fds[1]}); !errors.Is(err, unix.EBADF) {
		t.Errorf("close on exec of -1: %v", err)
	}
	flags(unix.FD_CLOEXEC)
}

func TestRawFDLeavesTheMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	l, err := ListenUnix(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fd, err := RawFD(l)
	if err != nil {
		t.Fatal(err)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("flags %#x, %v; want O_NONBLOCK", flags, err)
	}
	answers(t, path, l)
	l.Close()
	if fd, err := RawFD(l); err == nil || fd != -1 {
		t.Errorf("descriptor %d of a closed listener, %v", fd, err)
	}
}

func TestAdoptUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	first, err := ListenUnix(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	fd, err := RawFD(first)
	if err != nil {
		t.Fatal(err)
	}
	l, err := AdoptUnix(dup(t, fd))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	first.Close()
	adopted, err := RawFD(l)
	if err != nil {
		t.Fatal(err)
	}
	if flags, err := unix.FcntlInt(uintptr(adopted), unix.F_GETFD, 0); flags != unix.FD_CLOEXEC || err != nil {
		t.Errorf("flags %d, %v; want FD_CLOEXEC", flags, err)
	}
	answers(t, path, l)
	l.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("after close: %v", err)
	}
}

func TestAdoptUnixRefuses(t *testing.T) {
	g := mustOpen(t, "tcp://127.0.0.1:0", One, 1)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	packets, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(packets)
	r, w := pipe(t)
	defer r.Close()
	defer w.Close()
	for _, c := range []struct {
		name string
		fd   int
		want error
	}{
		{"TCP", g.FD(0), errNotUnix},
		{"packets", packets, errNotUnix},
		{"connected", pair[0], errNotListening},
		{"a pipe", int(r.Fd()), errNotListening},
		{"closed", -1, unix.EBADF},
	} {
		if l, err := AdoptUnix(c.fd); !errors.Is(err, c.want) || l != nil {
			t.Errorf("%s: %v, %v; want %v", c.name, l, err, c.want)
		}
		if _, err := unix.FcntlInt(uintptr(c.fd), unix.F_GETFD, 0); c.fd >= 0 && err != nil {
			t.Errorf("%s, which was refused: %v", c.name, err)
		}
	}
}
