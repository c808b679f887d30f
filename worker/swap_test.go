package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

// answer is what every handler of these tests does.
func answer(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "hello") }

// careful is a worker that drains as ServeHTTP does.
func careful(ctx context.Context, w *Worker) error {
	ln, err := w.Listener("web")
	if err != nil {
		return err
	}
	return w.ServeHTTP(ctx, &http.Server{Handler: http.HandlerFunc(answer)}, ln)
}

// hasty is a worker that drains by Shutdown alone.
func hasty(ctx context.Context, w *Worker) error {
	ln, err := w.Listener("web")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: http.HandlerFunc(answer)}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	w.Ready()
	<-ctx.Done()
	err = srv.Shutdown(w.Context())
	<-served
	return err
}

// crowd is clients that ask one question after the other and never retry.
type crowd struct {
	addr   string
	over   chan struct{}
	asked  atomic.Int64
	turn   chan struct{} // gets a value for each answer, if somebody wants it
	failed atomic.Int64
	first  atomic.Pointer[error]
	wg     sync.WaitGroup
}

func gather(addr string, keepAlive, perRequest int) *crowd {
	c := &crowd{addr: addr, over: make(chan struct{}), turn: make(chan struct{})}
	for range keepAlive {
		c.wg.Go(func() { c.ask(true) })
	}
	for range perRequest {
		c.wg.Go(func() { c.ask(false) })
	}
	return c
}

// disperse ends the clients after their question in hand.
func (c *crowd) disperse() {
	close(c.over)
	c.wg.Wait()
}

func (c *crowd) ask(keepAlive bool) {
	for {
		select {
		case <-c.over:
			return
		default:
		}
		if err := c.converse(keepAlive); err != nil {
			c.failed.Add(1)
			c.first.CompareAndSwap(nil, &err)
		}
	}
}

// converse asks on one connection until the server says that it will close it.
func (c *crowd) converse(keepAlive bool) error {
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * soon))
	in := bufio.NewReader(conn)
	for n := 1; ; n++ {
		c.asked.Add(1)
		if err := question(conn, in, keepAlive); err != nil {
			if errors.Is(err, errCloses) {
				return nil
			}
			return fmt.Errorf("question %d of a connection: %w", n, err)
		}
		select {
		case <-c.over:
			return nil
		case c.turn <- struct{}{}:
		default:
		}
	}
}

func question(conn net.Conn, in *bufio.Reader, keepAlive bool) error {
	text := "GET / HTTP/1.1\r\nHost: test\r\n\r\n"
	if !keepAlive {
		text = "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
	}
	if _, err := io.WriteString(conn, text); err != nil {
		return err
	}
	return readAnswer(in, "hello")
}

// swap replaces the worker of a socket by the next one.
func (p *primary) swap(old *peer, run Run, s *inherit.Group) *peer {
	p.t.Helper()
	next := p.start(run, s)
	next.await(ipc.TypeReady)
	if old != nil {
		old.send(ipc.TypeDrain, ipc.Drain{LameDuck: soon, Deadline: 2 * soon})
		old.await(ipc.TypeClosed)
	}
	return next
}

const swaps = 25

// TestSwapLosesNothing: while workers come and go on one socket, no client
// notices.
func TestSwapLosesNothing(t *testing.T) {
	p, s := newPrimary(t), socket(t)
	w := p.swap(nil, careful, s)
	c := gather(addr(s), 6, 3)
	for range swaps {
		old := w
		w = p.swap(old, careful, s)
		if d := old.drained(); d.Cut != 0 {
			t.Errorf("%d connections were cut", d.Cut)
		}
		if err := old.exited(); err != nil {
			t.Errorf("main: %v", err)
		}
		for range 20 {
			within(t, c.turn)
		}
	}
	c.disperse()
	if n := c.failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed, the first: %v", n, c.asked.Load(), *c.first.Load())
	}
}

// TestSwapThatLosesIsNoticed: the same clients find out a worker that ends by
// http.Server.Shutdown alone.
func TestSwapThatLosesIsNoticed(t *testing.T) {
	p, s := newPrimary(t), socket(t)
	w := p.swap(nil, hasty, s)
	c := gather(addr(s), 6, 3)
	n := 0
	for ; n < 20*swaps && c.failed.Load() == 0; n++ {
		old := w
		w = p.swap(old, hasty, s)
		_ = old.exited()
	}
	c.disperse()
	if c.failed.Load() == 0 {
		t.Fatalf("no failure in %d swaps", n)
	}
	t.Logf("noticed after %d swaps: %v", n, *c.first.Load())
}
