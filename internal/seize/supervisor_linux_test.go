package seize

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// slot is the listening socket of a slot and its address.
func slot(t *testing.T) (socket int, addr string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 128); err != nil {
		t.Fatal(err)
	}
	return fd, net.JoinHostPort("127.0.0.1", strconv.Itoa(int(boundTo(fd))))
}

// privatePort is one that was free a moment ago on all addresses.
func privatePort(t *testing.T) uint16 {
	t.Helper()
	ln, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return uint16(ln.Addr().(*net.TCPAddr).Port)
}

// reported is one report of a supervisor.
type reported struct {
	Seizure
	err error
}

// supervision is a supervisor that runs.
type supervision struct {
	t       *testing.T
	reports chan reported
	over    chan error // its result
	cancel  context.CancelFunc
}

func supervise(t *testing.T, notify int, port uint16, socket int) *supervision {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &supervision{t: t, reports: make(chan reported, 10), over: make(chan error, 1), cancel: cancel}
	supervisor := &Supervisor{
		Sockets: map[uint16]int{port: socket},
		Report:  func(seizure Seizure, err error) { s.reports <- reported{seizure, err} },
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.over <- supervisor.Run(ctx, notify)
	}()
	t.Cleanup(func() { // before the descriptors are closed
		cancel()
		<-ended
	})
	return s
}

func (s *supervision) report() reported {
	s.t.Helper()
	select {
	case r := <-s.reports:
		return r
	case <-time.After(patience):
		s.t.Fatal("no report")
		return reported{}
	}
}

func (s *supervision) wait() error {
	s.t.Helper()
	select {
	case err := <-s.over:
		return err
	case <-time.After(patience):
		s.t.Fatal("the supervisor does not end")
		return nil
	}
}

// dial returns a connection to the slot, which need not be accepted yet.
func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// answerer is the pid of the process that serves a connection.
func answerer(t *testing.T, c net.Conn) int {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestProgramsServeTheSlotInTurn(t *testing.T) {
	socket, addr := slot(t)
	early := dial(t, addr) // waits in the queue
	var last int
	for range 5 {
		port := privatePort(t)
		p, notify := seized(t, "serve", port)
		s := supervise(t, notify, port, socket)
		want := reported{Seizure{PID: p.pid(), Port: port, Nonblock: true}, nil}
		if got := s.report(); got != want {
			t.Fatalf("report: %v, want %v", got, want)
		}
		if got, want := p.line(), "listening on "+addr; got != want {
			t.Errorf("the program says %q, want %q", got, want)
		}
		if got := answerer(t, early); got != p.pid() {
			t.Errorf("the queue was served by %d, want %d", got, p.pid())
		}
		if got := answerer(t, dial(t, addr)); got != p.pid() || got == last {
			t.Errorf("a connection was served by %d, want %d", got, p.pid())
		}
		last = p.pid()
		p.stop()
		if err := s.wait(); err != nil {
			t.Errorf("the supervisor of a program that has ended: %v", err)
		}
		early = dial(t, addr) // for the successor
	}
}

func TestNobodyListensOnThePrivatePort(t *testing.T) {
	socket, _ := slot(t)
	port := privatePort(t)
	_, notify := seized(t, "serve", port)
	supervise(t, notify, port, socket).report()
	if c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port)); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("dial the private port: %v, %v", c, err)
	}
}

func TestSecondProgramWhileTheFirstServes(t *testing.T) {
	socket, addr := slot(t)
	port := privatePort(t) // one is enough: the program's own socket is closed
	var pids [2]int
	for i := range pids {
		p, notify := seized(t, "serve", port)
		supervise(t, notify, port, socket).report()
		pids[i] = p.pid()
	}
	if got := answerer(t, dial(t, addr)); got != pids[0] && got != pids[1] {
		t.Errorf("served by %d, want one of %v", got, pids)
	}
}

func TestListenOfAChild(t *testing.T) {
	socket, addr := slot(t)
	port := privatePort(t)
	p, notify := seized(t, "serve in a child", port)
	s := supervise(t, notify, port, socket)
	r := s.report()
	if r.err != nil || r.PID == p.pid() {
		t.Errorf("report: %v, want a child of %d", r, p.pid())
	}
	if got := answerer(t, dial(t, addr)); got != r.PID {
		t.Errorf("served by %d, want %d", got, r.PID)
	}
	p.stop()
	if err := s.wait(); err != nil {
		t.Error(err)
	}
}

func TestOtherSocketsStayAsTheyAre(t *testing.T) {
	socket, addr := slot(t)
	port := privatePort(t)
	p, notify := seized(t, "listen elsewhere", port)
	s := supervise(t, notify, port, socket)
	own := strings.TrimPrefix(p.line(), "listening on ")
	if own == addr {
		t.Errorf("a port of its own became the slot's %s", addr)
	}
	dial(t, own).Close()
	if r := s.report(); r.err != nil || r.Port != port {
		t.Errorf("report: %v", r)
	}
	if got := answerer(t, dial(t, addr)); got != p.pid() {
		t.Errorf("served by %d, want %d", got, p.pid())
	}
}

func TestDescriptorsStayAsTheyWere(t *testing.T) {
	socket, addr := slot(t)
	port := privatePort(t)
	p, notify := seized(t, "listen by hand", port)
	s := supervise(t, notify, port, socket)
	for _, want := range []string{"closed: bad file descriptor", "not a socket: socket operation on non-socket"} {
		if got := p.line(); got != want {
			t.Errorf("refused call: %q, want %q", got, want)
		}
	}
	_, slotPort, _ := net.SplitHostPort(addr)
	for i, want := range []struct {
		nonblock    bool
		closeOnExec string
	}{{false, "0"}, {true, "1"}, {true, "0"}} { // the last repeats the first, which shares the mode of the second
		if r := s.report(); r.err != nil || r.Nonblock != want.nonblock {
			t.Errorf("call %d: report %v, want nonblock %v", i, r, want.nonblock)
		}
		if got, want := p.line(), "port "+slotPort+" closeonexec "+want.closeOnExec; got != want {
			t.Errorf("call %d: %q, want %q", i, got, want)
		}
	}
	if flags, err := unix.FcntlInt(uintptr(socket), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("flags of the slot's socket: %#x, %v", flags, err)
	}
}

func TestSocketThatIsPolledBefore(t *testing.T) {
	socket, addr := slot(t)
	port := privatePort(t)
	p, notify := seized(t, "poll before", port)
	s := supervise(t, notify, port, socket)
	want := reported{Seizure{PID: p.pid(), Port: port, Nonblock: true}, errPolled}
	if got := s.report(); got != want {
		t.Errorf("report: %v, want %v", got, want)
	}
	p.line()
	dial(t, fmt.Sprint("127.0.0.1:", port)).Close() // it listens there itself
	dial(t, addr).Close()
}

// A process that may not be looked into listens on its own, and that is said.
func TestProgramThatMayNotBeInspected(t *testing.T) {
	socket, _ := slot(t)
	port := privatePort(t)
	p, notify := seized(t, "hide", port)
	var r reported
	supervisor := &Supervisor{Sockets: map[uint16]int{port: socket}, Report: func(s Seizure, err error) { r = reported{s, err} }}
	over := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with this goroutine
		if err := dropCapability(unix.CAP_SYS_PTRACE); err != nil {
			over <- err
			return
		}
		over <- supervisor.Run(t.Context(), notify)
	}()
	if got, want := p.line(), fmt.Sprint("listening on 127.0.0.1:", port); got != want {
		t.Errorf("the program says %q, want %q", got, want)
	}
	p.stop()
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	if !errors.Is(r.err, unix.EACCES) && !errors.Is(r.err, unix.EPERM) {
		t.Errorf("report: %v", r)
	}
}

func TestListenUnderSignals(t *testing.T) {
	socket, addr := slot(t)
	port := privatePort(t)
	p, notify := seized(t, "listen under signals", port)
	s := supervise(t, notify, port, socket)
	_, slotPort, _ := net.SplitHostPort(addr)
	if got, want := p.line(), "port "+slotPort; got != want {
		t.Errorf("the program says %q, want %q", got, want)
	}
	if r := s.report(); r.err != nil {
		t.Error(r.err)
	}
}

// The descriptor may rest with a holder that does not answer: the call waits
// for a supervisor.
func TestSupervisorsTakeTurns(t *testing.T) {
	socket, addr := slot(t)
	port := privatePort(t)
	p, notify := seized(t, "serve", port)
	waiting := []unix.PollFd{{Fd: int32(notify), Events: unix.POLLIN}}
	if n, err := unix.Poll(waiting, int(patience.Milliseconds())); n != 1 || err != nil {
		t.Fatalf("no call comes: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (&Supervisor{}).Run(ended, notify); !errors.Is(err, context.Canceled) {
		t.Errorf("Run after its context has ended: %v", err)
	}
	s := supervise(t, notify, port, socket)
	if r := s.report(); r.err != nil || r.PID != p.pid() {
		t.Errorf("report: %v", r)
	}
	if got := answerer(t, dial(t, addr)); got != p.pid() {
		t.Errorf("served by %d, want %d", got, p.pid())
	}
	s.cancel()
	if err := s.wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("a supervisor whose context ends: %v", err)
	}
	next := supervise(t, notify, port, socket)
	p.stop()
	if err := next.wait(); err != nil {
		t.Errorf("the next supervisor, when the program has ended: %v", err)
	}
}

// A call that was received and never answered waits for ever, unless its process
// is stopped and continued.
func TestSupervisorDiesBeforeItAnswers(t *testing.T) {
	socket, addr := slot(t)
	port := privatePort(t)
	p, notify := seized(t, "serve", port)
	var lost notification
	if err := ioctl(notify, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&lost)); err != nil {
		t.Fatal(err)
	}
	s := supervise(t, notify, port, socket)
	if err := unix.Kill(p.pid(), unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(p.pid(), &status, unix.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("stop: %v, status %#x", err, status)
	}
	if err := unix.Kill(p.pid(), unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if r := s.report(); r.err != nil {
		t.Error(r.err)
	}
	if got := answerer(t, dial(t, addr)); got != p.pid() {
		t.Errorf("served by %d, want %d", got, p.pid())
	}
}

func TestNobodyHoldsTheDescriptor(t *testing.T) {
	port := privatePort(t)
	p, notify := seized(t, "serve", port)
	if err := unix.Dup3(1, notify, unix.O_CLOEXEC); err != nil { // closes it; the number stays ours
		t.Fatal(err)
	}
	if got := p.line(); !strings.Contains(got, "function not implemented") {
		t.Errorf("the program says %q", got)
	}
}

func TestInstallRefused(t *testing.T) {
	for launcher, want := range map[string]string{
		"launch twice":      "error: " + ErrSupervised.Error(),
		"launch as anybody": "error: install a filter of system calls: permission denied",
	} {
		p := start(t, launcher, "serve", 1, nil)
		if got := p.line(); got != want {
			t.Errorf("%s: %q, want %q", launcher, got, want)
		}
	}
}

func TestReceiveWithoutDescriptor(t *testing.T) {
	for _, sent := range []string{"x", ""} {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		conn := unixConn(t, pair[0])
		_, err = unix.Write(pair[1], []byte(sent))
		unix.Close(pair[1])
		if err != nil {
			t.Fatal(err)
		}
		if fd, err := Receive(conn); err == nil {
			t.Errorf("after %q: descriptor %d", sent, fd)
		}
		conn.Close()
	}
}
