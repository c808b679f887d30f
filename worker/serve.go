package worker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Listener is the listener of that name: by default the pool's name. The worker
// itself closes it when it drains. The socket behind it belongs to the primary
// and goes on listening.
func (w *Worker) Listener(name string) (net.Listener, error) {
	if ln := w.connections.Listener(name); ln != nil {
		return ln, nil
	}
	names := w.connections.Names()
	if len(names) == 0 {
		return nil, fmt.Errorf("no listener %q: pool %s has none", name, w.boot.Pool)
	}
	return nil, fmt.Errorf("no listener %q: pool %s has %s", name, w.boot.Pool, strings.Join(names, ", "))
}

// ServeHTTP serves srv on ln until ctx ends, tells the primary that the worker is
// ready, and then drains without losing a request. It takes srv over: its
// Handler, ConnState, ConnContext and BaseContext are wrapped.
//
// http.Server.Shutdown alone drops a request that it has read just after it
// began. Here the listener is closed first, so that all accepted connections are
// known. If ln is the worker's own listener, connections of plain HTTP/1 are then
// handed over to the successor, each as soon as no request is under way: their
// clients notice nothing. The successor sees them as new connections.
//
// All others are told to go: answers carry "Connection: close"; idle connections
// have the pool's lame duck for a last request; requests in flight are finished;
// only then comes Shutdown. Clients of HTTP/2 are told by GOAWAY, twice, so that
// no request on its way is lost; within TLS, too, if the worker's own listener is
// below it. Hijacked connections may go on until [Worker.Context] ends, see
// [Worker.Farewell], and are closed then.
func (w *Worker) ServeHTTP(ctx context.Context, srv *http.Server, ln net.Listener) error {
	if err := w.Load(); err != nil {
		return err
	}
	s := w.connections.NewServer(srv, ln)
	served := s.Start(ln)
	defer s.Stop()
	w.Ready()
	select {
	case err := <-served:
		if ctx.Err() == nil {
			return fmt.Errorf("serve http: %w", err)
		}
	case <-ctx.Done():
		s.BeginDrain()
		w.stopAccepting(ln, served)
	}
	return s.Drain()
}

// Farewell is for a handler that has taken its connection over (websocket and the
// like). When the worker drains, goodbye is called once, on a goroutine of its
// own, and should tell the client to go; its context ends when the connection is
// cut. In a worker that drains already it is called at once. The handler calls
// done when it has finished with the connection.
func (w *Worker) Farewell(goodbye func(ctx context.Context)) (done func()) {
	return w.connections.Farewell(goodbye)
}

// Serve accepts on ln and calls handle for each connection, on a goroutine of its
// own, until ctx ends; it tells the primary that the worker is ready. Then it
// drains: it accepts what was queued, unless another worker does, the context of
// every handle ends, and Serve waits for them. A handle should finish what it
// does and return. Its connection is closed then, or when [Worker.Context] ends.
func (w *Worker) Serve(ctx context.Context, ln net.Listener, handle func(ctx context.Context, c net.Conn)) error {
	if err := w.Load(); err != nil {
		return err
	}
	asked, ask := context.WithCancel(ctx)
	defer ask()
	var handlers sync.WaitGroup
	served := make(chan error, 1)
	w.wg.Go(func() {
		served <- w.acceptAll(ln, func(c net.Conn) {
			handlers.Go(func() { w.handleOne(asked, c, handle) })
		})
	})
	err := w.serveUntil(ctx, ln, served)
	ask()
	handlers.Wait()
	return err
}

// serveUntil is the part that all servers share: ready, serve, and accept no more
// when ctx ends. served receives the end of accepting.
func (w *Worker) serveUntil(ctx context.Context, ln net.Listener, served <-chan error) error {
	w.Ready()
	select {
	case err := <-served:
		if ctx.Err() == nil {
			w.Leave() // the primary sends work elsewhere, and the wait for open connections has an end
			return fmt.Errorf("serve: %w", err)
		}
	case <-ctx.Done():
		w.stopAccepting(ln, served)
	}
	return nil
}

func (w *Worker) stopAccepting(ln net.Listener, served <-chan error) {
	w.Leave()
	<-w.closed
	_ = ln.Close() // it may be around the worker's own listener, or unrelated to it
	<-served
}

// acceptAll goes on until the listener is closed. It waits out passing failures,
// such as a lack of descriptors (accept(2)).
func (w *Worker) acceptAll(ln net.Listener, take func(net.Conn)) error {
	const shortest, longest = 5 * time.Millisecond, time.Second
	pause := shortest
	for {
		c, err := ln.Accept()
		switch {
		case err == nil:
			pause = shortest
			take(c)
			continue
		case !passing(err):
			return err
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, longest)
		case <-w.closed:
		}
	}
}

func passing(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (w *Worker) handleOne(ctx context.Context, c net.Conn, handle func(context.Context, net.Conn)) {
	w.connections.Counts.Requests.Add(1)
	stop := context.AfterFunc(w.working, func() {
		_ = c.Close() // it may be closed already
		w.connections.Counts.Cut.Add(1)
	})
	defer c.Close()
	handle(ctx, c)
	if stop() && ctx.Err() != nil {
		w.connections.Counts.Finished.Add(1)
	}
}

// GRPCServer is what ServeGRPC needs of a *grpc.Server.
type GRPCServer interface {
	Serve(ln net.Listener) error
	GracefulStop()
	Stop()
}

// ServeGRPC serves srv on ln until ctx ends, and tells the primary that the
// worker is ready. Then it stops accepting without losing what was queued, lets
// calls finish (GracefulStop, which sends GOAWAY), and stops what is left when
// [Worker.Context] ends.
func (w *Worker) ServeGRPC(ctx context.Context, srv GRPCServer, ln net.Listener) error {
	if err := w.Load(); err != nil {
		return err
	}
	served := make(chan error, 1)
	w.wg.Go(func() { served <- srv.Serve(ln) })
	err := w.serveUntil(ctx, ln, served)
	open := w.connections.Open()
	done := make(chan struct{})
	w.wg.Go(func() {
		defer close(done)
		srv.GracefulStop()
	})
	select {
	case <-done:
		w.connections.Counts.Told.Add(int64(open))
	case <-w.working.Done():
		cut := w.connections.Open()
		w.connections.Counts.Told.Add(int64(max(0, open-cut)))
		w.connections.Counts.Cut.Add(int64(cut))
		srv.Stop() // ends GracefulStop as well
		<-done
	}
	return err
}
