package worker

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/norestart/norestart/internal/ipc"
)

// lines sends back each line until the worker drains, and then says so.
func lines(ctx context.Context, c net.Conn) {
	defer context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })()
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadString('\n')
		if ctx.Err() != nil {
			_, _ = io.WriteString(c, "goodbye\n")
			return
		}
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, line)
	}
}

func TestServe(t *testing.T) {
	for name, test := range map[string]struct {
		handle func(context.Context, net.Conn)
		d      ipc.Drain
		says   string
		want   ipc.Drained
	}{
		"finishes":            {lines, ipc.Drain{Deadline: soon}, "goodbye\n", ipc.Drained{Finished: 1}},
		"lingers":             {lines, ipc.Drain{Linger: true, LameDuck: 10 * time.Millisecond, Deadline: soon}, "goodbye\n", ipc.Drained{Finished: 1}},
		"cut at the deadline": {func(_ context.Context, c net.Conn) { _, _ = io.Copy(c, c) }, ipc.Drain{Deadline: 50 * time.Millisecond}, "", ipc.Drained{Cut: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			s := socket(t)
			w := newPrimary(t).start(func(ctx context.Context, w *Worker) error {
				ln, err := w.Listener("web")
				if err != nil {
					return err
				}
				return w.Serve(ctx, ln, test.handle)
			}, s)
			w.await(ipc.TypeReady)
			c, in := client(t, s)
			_, err := io.WriteString(c, "hello\n")
			must(t, err)
			if line, err := in.ReadString('\n'); err != nil || line != "hello\n" {
				t.Fatalf("%q, %v", line, err)
			}
			w.send(ipc.TypeDrain, test.d)
			if rest, err := io.ReadAll(in); string(rest) != test.says || err != nil {
				t.Errorf("at the end %q, %v, want %q", rest, err, test.says)
			}
			if d := w.drained(); d != test.want {
				t.Errorf("drained %+v, want %+v", d, test.want)
			}
			if err := w.exited(); err != nil {
				t.Errorf("main: %v", err)
			}
		})
	}
}

// dying is a listener that accepts until it dies, once.
type dying struct {
	net.Listener
	accepted bool
	dies     <-chan struct{}
}

var errDead = errors.New("the listener is dead")

func (d *dying) Accept() (net.Conn, error) {
	if d.accepted {
		<-d.dies
		return nil, errDead
	}
	d.accepted = true
	return d.Listener.Accept()
}

// TestServeDies: a worker that cannot accept any more says so, that nobody waits
// for it, finishes what it has, and ends.
func TestServeDies(t *testing.T) {
	s := socket(t)
	dies := make(chan struct{})
	w := newPrimary(t).start(func(ctx context.Context, w *Worker) error {
		ln, err := w.Listener("web")
		if err != nil {
			return err
		}
		return w.Serve(ctx, &dying{Listener: ln, dies: dies}, lines)
	}, s)
	w.await(ipc.TypeReady)
	c, in := client(t, s)
	_, err := io.WriteString(c, "hello\n")
	must(t, err)
	if line, err := in.ReadString('\n'); err != nil || line != "hello\n" {
		t.Fatalf("%q, %v", line, err)
	}
	close(dies)
	w.await(ipc.TypeLeaving)
	if rest, err := io.ReadAll(in); string(rest) != "goodbye\n" || err != nil {
		t.Errorf("the connection that it had: %q, %v", rest, err)
	}
	if err := w.exited(); !errors.Is(err, errDead) {
		t.Errorf("main: %v, want %v", err, errDead)
	}
}

// calls behaves as a *grpc.Server: GracefulStop waits for its connections.
type calls struct {
	open   sync.WaitGroup
	mu     sync.Mutex // protects conns
	conns  []net.Conn
	gentle bool // its clients go when they are asked to
}

func (g *calls) Serve(ln net.Listener) error {
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		g.mu.Lock()
		g.conns = append(g.conns, c)
		g.mu.Unlock()
		g.open.Go(func() {
			defer c.Close()
			_, _ = io.Copy(c, c)
		})
	}
}

func (g *calls) GracefulStop() {
	if g.gentle {
		g.Stop()
	}
	g.open.Wait()
}

func (g *calls) Stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.conns {
		_ = c.Close()
	}
}

func TestServeGRPC(t *testing.T) {
	for name, test := range map[string]struct {
		gentle bool
		want   ipc.Drained
	}{
		"clients go":          {true, ipc.Drained{Told: 1}},
		"cut at the deadline": {false, ipc.Drained{Cut: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			s := socket(t)
			w := newPrimary(t).start(func(ctx context.Context, w *Worker) error {
				ln, err := w.Listener("web")
				if err != nil {
					return err
				}
				return w.ServeGRPC(ctx, &calls{gentle: test.gentle}, ln)
			}, s)
			w.await(ipc.TypeReady)
			c, in := client(t, s)
			_, err := io.WriteString(c, "hello\n")
			must(t, err)
			if line, err := in.ReadString('\n'); err != nil || line != "hello\n" {
				t.Fatalf("%q, %v", line, err)
			}
			w.send(ipc.TypeDrain, ipc.Drain{Deadline: 100 * time.Millisecond})
			if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
				t.Errorf("at the end: %v, want %v", err, io.EOF)
			}
			if d := w.drained(); d != test.want {
				t.Errorf("drained %+v, want %+v", d, test.want)
			}
		})
	}
}
