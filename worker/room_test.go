package worker

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/ipc"
)

// roomFor lets the process open n more descriptors, until the test ends or the
// function that it returns is called.
func roomFor(t *testing.T, n int) (enough func()) {
	t.Helper()
	var was unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &was))
	low := was
	low.Cur = 0
	for free := 0; free <= n; low.Cur++ { // the kernel gives the lowest free number
		if _, err := unix.FcntlInt(uintptr(low.Cur), unix.F_GETFD, 0); err != nil {
			free++
		}
	}
	low.Cur--
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &low))
	enough = func() { must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &was)) }
	t.Cleanup(enough)
	return enough
}

func openFDs(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(all)
}

// speak speaks over a descriptor, which it takes over.
func speak(t *testing.T, fd int) *ipc.Conn {
	t.Helper()
	c := ipc.NewConn(fileConn(t, fd).(*net.UnixConn))
	c.Trust(true)
	t.Cleanup(func() { c.Close() })
	return c
}

// TestSuccessorWithoutRoom: connections that a worker has no descriptors for stay
// where they were, however many it could have taken; when it has room again, it
// takes them.
func TestSuccessorWithoutRoom(t *testing.T) {
	s := socket(t)
	w := newPrimary(t).start(echoing, s)
	w.await(ipc.TypeReady)
	a, b := unixPair(t)
	w.send(ipc.TypeHandover, nil, a)
	must(t, unix.Close(a))
	sender := speak(t, b)
	must(t, sender.Send(soon, ipc.TypeMove, ipc.Move{}))
	takenOf(t, sender)     // so it has its end of the pair
	elsewhere := socket(t) // of the worker that has them now
	var clients []*kept
	var theirs []net.Conn
	var fds []int
	m := ipc.Move{}
	for range 5 {
		conn, in := client(t, elsewhere)
		clients = append(clients, &kept{conn: conn, in: in})
		fd, _, err := unix.Accept4(elsewhere.FD(0), unix.SOCK_CLOEXEC)
		must(t, err)
		nc := fileConn(t, fd)
		defer nc.Close()
		theirs = append(theirs, nc)
		fds = append(fds, dupConn(t, nc))
		m.Connections = append(m.Connections, ipc.Moving{Listener: "web"})
	}
	before := openFDs(t)
	for room := range 5 {
		enough := roomFor(t, room)
		must(t, sender.Send(soon, ipc.TypeMove, m, fds...))
		for i, taken := range takenOf(t, sender) {
			if taken {
				t.Errorf("room for %d: it took connection %d", room, i)
			}
		}
		enough()
		if after := openFDs(t); after != before {
			t.Errorf("room for %d: %d descriptors are open, want %d", room, after, before)
		}
	}
	for i, k := range clients {
		_, err := io.WriteString(k.conn, "GET ")
		must(t, err)
		got := make([]byte, 4)
		if _, err := io.ReadFull(theirs[i], got); err != nil || string(got) != "GET " {
			t.Errorf("%q, %v", got, err)
		}
		m.Connections[i].Read = got
	}
	must(t, sender.Send(soon, ipc.TypeMove, m, fds...))
	for i, taken := range takenOf(t, sender) {
		if !taken {
			t.Errorf("it has room, and did not take connection %d", i)
		}
	}
	for i, k := range clients {
		must(t, errors.Join(unix.Close(fds[i]), theirs[i].Close()))
		_, err := io.WriteString(k.conn, "/7 HTTP/1.1\r\nHost: test\r\n\r\n")
		must(t, err)
		if err := readAnswer(k.in, "/7 "); err != nil {
			t.Errorf("a request over the move: %v", err)
		}
	}
}

func dupConn(t *testing.T, nc net.Conn) int {
	t.Helper()
	raw, err := nc.(syscall.Conn).SyscallConn()
	must(t, err)
	copied := -1
	must(t, raw.Control(func(fd uintptr) { copied = dup(t, int(fd)) }))
	return copied
}

// takenOf is the answer to an offer.
func takenOf(t *testing.T, c *ipc.Conn) []bool {
	t.Helper()
	m, err := c.Receive(soon)
	must(t, err)
	defer m.Discard()
	var a ipc.Moved
	must(t, m.Decode(&a))
	if m.Type != ipc.TypeMoved {
		t.Fatalf("it answered %s", m.Type)
	}
	return a.Taken
}

// TestDrainWithoutRoom: a worker that cannot take in its successor drains without
// one, and still speaks to its primary.
func TestDrainWithoutRoom(t *testing.T) {
	s := socket(t)
	w := newPrimary(t).start(echoing, s)
	w.await(ipc.TypeReady)
	var clients []*kept
	for range 3 {
		c, in := client(t, s)
		k := &kept{conn: c, in: in}
		must(t, k.ask())
		clients = append(clients, k)
	}
	a, b := unixPair(t)
	successor := speak(t, a)
	enough := roomFor(t, 0)
	w.send(ipc.TypeDrain, ipc.Drain{LameDuck: soon, Deadline: 2 * soon}, b)
	w.await(ipc.TypeClosed)
	enough()
	must(t, unix.Close(b))
	if _, err := successor.Receive(soon); !errors.Is(err, io.EOF) {
		t.Errorf("the successor hears %v, want %v", err, io.EOF)
	}
	for _, k := range clients {
		if err := k.last(); err != nil {
			t.Errorf("its last request: %v", err)
		}
	}
	if d := w.drained(); d.Moved+d.Cut != 0 || d.Finished+d.Told != len(clients) {
		t.Errorf("drained %+v", d)
	}
}

// held are clients of a worker that drains, each with a request under way.
func held(t *testing.T, n int) (w *peer, clients []*kept, successor *ipc.Conn, release func()) {
	t.Helper()
	begun, released := make(chan struct{}, n), make(chan struct{})
	s := socket(t)
	w = newPrimary(t).start(serving(&http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-released
		echoes(rw, r)
	})}), s)
	w.await(ipc.TypeReady)
	for range n {
		c, in := client(t, s)
		k := &kept{conn: c, in: in}
		_, err := io.WriteString(c, "GET /1 HTTP/1.1\r\nHost: test\r\n\r\n")
		must(t, err)
		clients = append(clients, k)
		within(t, begun)
	}
	a, b := unixPair(t)
	w.send(ipc.TypeDrain, ipc.Drain{Deadline: soon}, b)
	must(t, unix.Close(b))
	w.await(ipc.TypeClosed)
	return w, clients, speak(t, a), func() {
		close(released)
		for _, k := range clients {
			if err := readAnswer(k.in, "/1 "); err != nil {
				t.Errorf("the request under way: %v", err)
			}
		}
	}
}

// takeAll says that all connections that are offered are taken.
func takeAll(t *testing.T, successor *ipc.Conn, n int) {
	t.Helper()
	for n > 0 {
		m, err := successor.Receive(soon)
		must(t, err)
		var offer ipc.Move
		must(t, m.Decode(&offer))
		m.Discard()
		taken := make([]bool, len(offer.Connections))
		for i := range taken {
			taken[i] = true
		}
		must(t, successor.Send(soon, ipc.TypeMoved, ipc.Moved{Taken: taken}))
		n -= len(taken)
	}
}

// TestMoveWithoutRoom: a worker without a free descriptor gives its connections
// away. (The successor, in the same process, cannot take them in.)
func TestMoveWithoutRoom(t *testing.T) {
	const n = 40 // more than go into one message
	w, _, successor, release := held(t, n)
	enough := roomFor(t, 0)
	release()
	takeAll(t, successor, n)
	d := w.drained()
	enough()
	if d.Moved != n || d.Told+d.Finished+d.Cut != 0 {
		t.Errorf("drained %+v", d)
	}
}

// TestTooManyInFlight: while the kernel lets no more descriptors of the user be
// on their way, a connection that moves waits. Root may do as it likes.
func TestTooManyInFlight(t *testing.T) {
	if os.Geteuid() == 0 {
		asNobody(t)
		return
	}
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	limit.Cur = min(limit.Cur, 300)
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	w, _, successor, release := held(t, 3)
	a, b := unixPair(t)
	var err error
	for range 10 {
		if err = unix.Sendmsg(a, []byte{1}, unix.UnixRights(make([]int, 250)...), nil, unix.MSG_DONTWAIT); err != nil {
			break
		}
	}
	if !errors.Is(err, unix.ETOOMANYREFS) {
		t.Fatalf("send more descriptors than may be in flight: %v, want %v", err, unix.ETOOMANYREFS)
	}
	release()
	if _, err := successor.Receive(100 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("meanwhile the successor hears %v, want nothing", err)
	}
	must(t, errors.Join(unix.Close(a), unix.Close(b)))
	takeAll(t, successor, 3)
	if d := w.drained(); d.Moved != 3 || d.Told+d.Finished+d.Cut != 0 {
		t.Errorf("drained %+v", d)
	}
}

// asNobody runs the test as a user with no privileges.
func asNobody(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "norestart-worker-")
	must(t, err)
	defer os.RemoveAll(dir)
	must(t, os.Chmod(dir, 0o777))
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir, cmd.Env = dir, []string{"TMPDIR=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, unix.EPERM) {
		t.Skip("run where root may become another user")
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
