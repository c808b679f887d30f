package worker

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// soon is how long anything in these tests may take before it has failed.
const soon = time.Minute

// primary is as much of one as workers need.
type primary struct {
	t     testing.TB
	dir   string
	ln    *net.UnixListener
	joins chan *peer
	ask   ipc.Question
	reply chan ipc.Reply
	talks sync.WaitGroup

	answer func(*ipc.Conn, ipc.Hello) // to a hello before the welcome, or instead of it
}

// peer is a worker as the primary sees it.
type peer struct {
	t     testing.TB
	conn  *ipc.Conn
	hello ipc.Hello
	over  chan error   // what Main returned
	last  *ipc.Drained // its last words, if they came while it was asked for others
}

func newPrimary(t testing.TB) *primary {
	t.Helper()
	p := &primary{t: t, dir: t.TempDir(), joins: make(chan *peer, 1), reply: make(chan ipc.Reply, 1)}
	ln, err := inherit.ListenUnix(filepath.Join(p.dir, ipc.WorkerSocket), 0o600)
	must(t, err)
	p.ln = ln
	p.talks.Go(p.accept)
	t.Cleanup(func() {
		p.ln.Close()
		p.talks.Wait()
	})
	return p
}

func (p *primary) accept() {
	for {
		c, err := p.ln.AcceptUnix()
		if err != nil {
			return
		}
		p.talks.Go(func() { p.greet(ipc.NewConn(c)) })
	}
}

func (p *primary) greet(conn *ipc.Conn) {
	m, err := conn.Receive(soon)
	if err != nil {
		conn.Close()
		return
	}
	var h ipc.Hello
	_ = m.Decode(&h)
	conn.Trust(false)
	if p.answer != nil {
		p.answer(conn, h)
	}
	_ = conn.Send(soon, ipc.TypeWelcome, ipc.Welcome{Protocol: ipc.Version, Name: "test", PID: os.Getpid()})
	if h.Purpose == ipc.PurposeControl {
		p.joins <- &peer{t: p.t, conn: conn, hello: h}
		return
	}
	defer conn.Close()
	if h.Purpose != ipc.PurposeTake {
		return
	}
	_ = conn.Send(soon, ipc.TypeRequest, p.ask)
	var r ipc.Reply
	if m, err := conn.Receive(soon); err == nil && m.Decode(&r) == nil {
		p.reply <- r
	}
}

// start runs a worker in this process and waits until it has joined. Sockets
// are inherited as the pool's listeners.
func (p *primary) start(run Run, sockets ...*inherit.Group) *peer {
	p.t.Helper()
	b := ipc.Boot{
		Orphan:  "exit",
		Cluster: "test", Version: "1", Pool: "web", Slot: 2, Generation: 3, Incarnation: 4, Secret: []byte("secret"),
		Run: p.dir, State: p.dir, Beat: 20 * time.Millisecond, Introduces: true,
	}
	for i, g := range sockets {
		b.Listeners = append(b.Listeners, ipc.Inherited{Name: []string{"web", "web-2"}[i], Addr: g.Addr(), FD: dup(p.t, g.FD(0))})
	}
	fd := bootPipe(p.t, b)
	over := make(chan error, 1)
	go func() { over <- live(fd, run) }() // it may have ended before the test sees it
	select {
	case w := <-p.joins:
		w.over = over
		p.t.Cleanup(w.end)
		return w
	case <-time.After(soon):
		p.t.Fatal("the worker does not join")
		return nil
	}
}

func bootPipe(t testing.TB, b ipc.Boot) int {
	t.Helper()
	data, err := ipc.Encode(b)
	must(t, err)
	var fds [2]int
	must(t, unix.Pipe2(fds[:], unix.O_CLOEXEC))
	_, err = unix.Write(fds[1], data)
	must(t, err)
	must(t, unix.Close(fds[1]))
	return fds[0]
}

// socket is a port of loopback that workers inherit.
func socket(t testing.TB) *inherit.Group {
	t.Helper()
	l, err := inherit.Parse("tcp://127.0.0.1:0")
	must(t, err)
	g, err := inherit.Open(l, inherit.One)
	must(t, err)
	t.Cleanup(func() { g.Close() })
	return g
}

// addr is where a client connects to.
func addr(g *inherit.Group) string { return g.Addr()[len("tcp://"):] }

func (w *peer) send(kind string, body any, fds ...int) {
	w.t.Helper()
	must(w.t, w.conn.Send(soon, kind, body, fds...))
}

// await reads up to the next message of a kind; beats come at any time.
func (w *peer) await(kind string) ipc.Message {
	w.t.Helper()
	for {
		m, err := w.conn.Receive(soon)
		if err != nil {
			w.t.Fatalf("no %s: %v", kind, err)
		}
		switch m.Type {
		case kind:
			return m
		case ipc.TypeBeat:
		case ipc.TypeDrained: // by then it is closed, too, whichever it says first
			if kind == ipc.TypeClosed {
				w.last = new(ipc.Drained)
				must(w.t, m.Decode(w.last))
				return m
			}
		default:
			if kind != ipc.TypeDrained || m.Type != ipc.TypeClosed {
				w.t.Fatalf("the worker said %s, want %s", m.Type, kind)
			}
		}
	}
}

// drained reads up to its last message.
func (w *peer) drained() (d ipc.Drained) {
	w.t.Helper()
	if w.last != nil {
		return *w.last
	}
	m := w.await(ipc.TypeDrained)
	must(w.t, m.Decode(&d))
	return d
}

// exited waits for its end.
func (w *peer) exited() error {
	w.t.Helper()
	select {
	case err := <-w.over:
		w.over <- err
		return err
	case <-time.After(soon):
		w.t.Fatal("the worker does not end")
		return nil
	}
}

// end ends it in whatever state it is.
func (w *peer) end() {
	w.conn.Close()
	_ = w.exited()
}

// untilAsked is a worker that is ready and does nothing.
func untilAsked(ctx context.Context, w *Worker) error {
	w.Ready()
	<-ctx.Done()
	return ctx.Err()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func within(t testing.TB, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(soon):
		t.Fatal("it did not happen")
	}
}

func dup(t testing.TB, fd int) int {
	t.Helper()
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	must(t, err)
	return n
}

// fileConn is the connection of a descriptor, which it takes over.
func fileConn(t testing.TB, fd int) net.Conn {
	t.Helper()
	f := os.NewFile(uintptr(fd), "connection")
	defer f.Close() // FileConn has a copy
	c, err := net.FileConn(f)
	must(t, err)
	return c
}
