package relay

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/norestart/norestart/internal/ipc"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// process is a program behind a relay.
type process struct {
	inc      uint64
	ln       net.Listener
	accepted chan net.Conn
}

func newProcess(t *testing.T, inc uint64) *process {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &process{inc: inc, ln: ln, accepted: make(chan net.Conn, 100)}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			p.accepted <- c
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		accepting.Wait()
		close(p.accepted)
		for c := range p.accepted {
			_ = c.Close()
		}
	})
	return p
}

// next is the next connection that it gets.
func (p *process) next(t *testing.T) net.Conn {
	t.Helper()
	select {
	case c := <-p.accepted:
		t.Cleanup(func() { _ = c.Close() })
		must(t, c.SetDeadline(time.Now().Add(time.Minute)))
		return c
	case <-time.After(time.Minute):
		t.Fatal("no connection has come")
		return nil
	}
}

// front is a relay between clients and processes.
type front struct {
	*pool
	t    *testing.T
	addr string
	over chan struct{}
	told chan uint64 // who may end
}

func newFront(t *testing.T, p Pool, serving ...*process) *front {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	f := &front{t: t, addr: ln.Addr().String(), over: make(chan struct{}), told: make(chan uint64, 10)}
	f.pool = newPool(p, func(l ipc.Left) { f.told <- l.Incarnation })
	f.say(nil, serving...)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				defer context.AfterFunc(ctx, func() { _ = c.Close() })()
				f.carry(ctx, c)
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		cancel()
		all.Wait()
		close(f.over)
		f.waits.Wait()
	})
	return f
}

// say is what the primary says.
func (f *front) say(leaving []uint64, serving ...*process) {
	u := ipc.Upstreams{Leaving: leaving}
	for _, p := range serving {
		u.Serving = append(u.Serving, ipc.Upstream{Incarnation: p.inc, Addr: p.ln.Addr().String()})
	}
	f.update(u, f.over)
}

func (f *front) dial() net.Conn {
	f.t.Helper()
	c, err := net.Dial("tcp", f.addr)
	must(f.t, err)
	f.t.Cleanup(func() { _ = c.Close() })
	must(f.t, c.SetDeadline(time.Now().Add(time.Minute)))
	return c
}

func (f *front) mayEnd() uint64 {
	f.t.Helper()
	select {
	case inc := <-f.told:
		return inc
	case <-time.After(time.Minute):
		f.t.Fatal("nothing may end")
		return 0
	}
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(c, text)
	must(t, err)
}

func hear(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("%q, %v, want %q", got, err, want)
	}
}

func TestCarry(t *testing.T) {
	a := newProcess(t, 1)
	f := newFront(t, Pool{}, a)
	client := f.dial()
	server := a.next(t)
	long := strings.Repeat("0123456789", 100_000)
	var writing sync.WaitGroup
	writing.Go(func() { say(t, client, long) })
	hear(t, server, long)
	writing.Wait()
	writing.Go(func() { say(t, server, long) })
	hear(t, client, long)
	writing.Wait()
	// One side ends, the other goes on.
	must(t, client.(*net.TCPConn).CloseWrite())
	if _, err := server.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the end of the client: %v", err)
	}
	say(t, server, "bye")
	must(t, server.Close())
	if rest, err := io.ReadAll(client); err != nil || string(rest) != "bye" {
		t.Errorf("%q, %v", rest, err)
	}
}

// TestEndWithBytes: bytes and the end come in one edge of epoll.
func TestEndWithBytes(t *testing.T) {
	a := newProcess(t, 1)
	f := newFront(t, Pool{}, a)
	for range 200 {
		client := f.dial()
		server := a.next(t)
		say(t, client, "ask")
		hear(t, server, "ask")
		say(t, server, "answer")
		must(t, server.Close())
		if rest, err := io.ReadAll(client); err != nil || string(rest) != "answer" {
			t.Fatalf("%q, %v", rest, err)
		}
		must(t, client.Close())
	}
}

// TestCutAnswer: a process that dies within an answer does not make it look whole.
func TestCutAnswer(t *testing.T) {
	a := newProcess(t, 1)
	f := newFront(t, Pool{}, a)
	client := f.dial()
	server := a.next(t)
	say(t, client, "ask")
	hear(t, server, "ask")
	say(t, server, "ans")
	hear(t, client, "ans")
	must(t, server.(*net.TCPConn).SetLinger(0))
	must(t, server.Close())
	if _, err := io.ReadAll(client); err == nil {
		t.Error("the answer ended as if it were whole")
	}
}

func TestLeastConnections(t *testing.T) {
	a, b, c := newProcess(t, 1), newProcess(t, 2), newProcess(t, 3)
	f := newFront(t, Pool{}, a, b, c)
	for range 9 {
		say(t, f.dial(), "x") // picked in turn: each before the next one
		var got net.Conn
		select {
		case got = <-a.accepted:
		case got = <-b.accepted:
		case got = <-c.accepted:
		case <-time.After(time.Minute):
			t.Fatal("no connection")
		}
		defer got.Close()
	}
	f.mu.Lock()
	for inc, up := range f.known {
		if len(up.links) != 3 {
			t.Errorf("process %d has %d connections of 9", inc, len(up.links))
		}
	}
	f.mu.Unlock()
}

// TestAnother: a connection goes to another process as long as nothing of the client
// was passed on, however the first one ends.
func TestAnother(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, f *front, first, second *process, c net.Conn){
		"it refuses": func(t *testing.T, _ *front, _, _ *process, _ net.Conn) { t.Helper() },
		"it closes": func(t *testing.T, _ *front, first, _ *process, _ net.Conn) {
			must(t, first.next(t).Close())
		},
		"it resets": func(t *testing.T, _ *front, first, _ *process, _ net.Conn) {
			c := first.next(t)
			must(t, c.(*net.TCPConn).SetLinger(0))
			must(t, c.Close())
		},
		"it is to end": func(t *testing.T, f *front, first, second *process, _ net.Conn) {
			first.next(t)
			f.say([]uint64{1}, second)
			if got := f.mayEnd(); got != 1 {
				t.Errorf("process %d may end", got)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := newProcess(t, 1), newProcess(t, 2)
			if name == "it refuses" {
				must(t, first.ln.Close())
			}
			f := newFront(t, Pool{}, first)
			if name != "it refuses" { // else it would wait
				f.say(nil, first)
			} else {
				f.say(nil, first, second)
			}
			client := f.dial()
			if name == "it closes" || name == "it resets" {
				c := first.next(t)
				f.say(nil, first, second)
				first.accepted <- c
			}
			end(t, f, first, second, client)
			say(t, client, "ask")
			server := second.next(t)
			hear(t, server, "ask")
			say(t, server, "answer")
			hear(t, client, "answer")
		})
	}
}

// TestNotTwice: what a client has said goes to one process alone.
func TestNotTwice(t *testing.T) {
	first, second := newProcess(t, 1), newProcess(t, 2)
	f := newFront(t, Pool{}, first)
	client := f.dial()
	server := first.next(t)
	f.say(nil, first, second)
	say(t, client, "ask")
	hear(t, server, "ask")
	must(t, server.Close())
	if rest, err := io.ReadAll(client); len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
	if len(second.accepted) > 0 {
		t.Error("the second process was asked, too")
	}
}

// TestNobody: a connection waits for a process, and ends when each has ended it
// without a word.
func TestNobody(t *testing.T) {
	f := newFront(t, Pool{})
	client := f.dial()
	say(t, client, "ask")
	a := newProcess(t, 1)
	f.say(nil, a)
	server := a.next(t)
	hear(t, server, "ask")

	other := f.dial()
	must(t, a.next(t).Close())
	if rest, err := io.ReadAll(other); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
}

// TestLeave: a process may end when nothing is asked of it; an idle connection does
// not count.
func TestLeave(t *testing.T) {
	a, b := newProcess(t, 1), newProcess(t, 2)
	f := newFront(t, Pool{}, a)
	idle, busy := f.dial(), f.dial()
	first, second := a.next(t), a.next(t)
	for _, c := range []net.Conn{idle, busy} {
		say(t, c, "ask")
	}
	hear(t, first, "ask")
	hear(t, second, "ask")
	say(t, first, "answer")
	f.say([]uint64{1, 77}, b) // 77 was never heard of
	if got := f.mayEnd(); got != 77 {
		t.Errorf("process %d may end", got)
	}
	select {
	case <-f.told:
		t.Fatal("it may end, and owes an answer")
	case <-time.After(2 * quiet):
	}
	say(t, second, "answer")
	if got := f.mayEnd(); got != 1 {
		t.Errorf("process %d may end", got)
	}
	hear(t, busy, "answer")
	// The next primary asks again.
	f.say([]uint64{1}, b)
	if got := f.mayEnd(); got != 1 {
		t.Errorf("process %d may end", got)
	}
	hear(t, idle, "answer")
}

// TestForget: a process that has gone leaves nothing.
func TestForget(t *testing.T) {
	a, b := newProcess(t, 1), newProcess(t, 2)
	f := newFront(t, Pool{}, a)
	client := f.dial()
	server := a.next(t)
	f.say(nil, b)
	must(t, client.Close())
	must(t, server.Close())
	for until := time.Now().Add(time.Minute); ; {
		f.mu.Lock()
		n := len(f.known)
		f.mu.Unlock()
		if n == 1 {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("%d processes are known", n)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestProxyHeaderComesFirst(t *testing.T) {
	a := newProcess(t, 1)
	f := newFront(t, Pool{ProxyProtocol: "v1"}, a)
	client := f.dial()
	say(t, client, "ask")
	line, err := bufio.NewReader(a.next(t)).ReadString('\n')
	from, to := client.LocalAddr().(*net.TCPAddr), client.RemoteAddr().(*net.TCPAddr)
	if want := strings.Join([]string{"PROXY TCP4 127.0.0.1 127.0.0.1", itoa(from.Port), itoa(to.Port)}, " ") + "\r\n"; line != want || err != nil {
		t.Errorf("%q, %v, want %q", line, err, want)
	}
}

// TestPatientAccept: while no process serves, connections stay in the queue.
func TestPatientAccept(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	p := newPool(Pool{}, nil)
	var accepts atomic.Int32
	counted := counting{ln, &accepts}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	errs := make(chan error, 2)
	wg.Go(func() {
		for range 2 {
			c, err := patient{counted, p, ctx}.Accept()
			if err == nil {
				_ = c.Close()
			}
			errs <- err
		}
	})
	c, err := net.Dial("tcp", ln.Addr().String())
	must(t, err)
	defer c.Close()
	if n := accepts.Load(); n > 0 {
		t.Error("it was accepted")
	}
	p.update(ipc.Upstreams{Serving: []ipc.Upstream{{Incarnation: 1}}}, nil)
	must(t, <-errs)
	p.update(ipc.Upstreams{}, nil)
	cancel() // what is queued is accepted, until the listener is closed
	_ = ln.Close()
	if err := <-errs; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	wg.Wait()
}

type counting struct {
	net.Listener
	n *atomic.Int32
}

func (c counting) Accept() (net.Conn, error) {
	c.n.Add(1)
	return c.Listener.Accept()
}
