package worker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

// Serve accepts on ln and calls handle for each connection, in a goroutine of
// its own, until ctx ends; it tells the primary that the worker is ready. Then
// it drains: what was queued is accepted, if nobody else does it, the context of
// every handle ends, and Serve waits for them. A handle should finish what it
// does and return. Its connection is closed then, or when [Worker.Context] ends.
func (w *Worker) Serve(ctx context.Context, ln net.Listener, handle func(ctx context.Context, c net.Conn)) error {
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

// serveUntil is the part that all servers have: ready, serve, and accept no
// more when ctx ends. served gives the end of accepting.
func (w *Worker) serveUntil(ctx context.Context, ln net.Listener, served <-chan error) error {
	_ = w.Ready() // always nil
	select {
	case err := <-served:
		if ctx.Err() == nil {
			w.Leave() // the primary sends work elsewhere, and the wait for what is open has an end
			return fmt.Errorf("serve: %w", err)
		}
	case <-ctx.Done():
		w.Leave()
		<-w.deaf
		_ = ln.Close() // it may be around the worker's own, or none of it
		<-served       // from now on every accepted connection is known
	}
	return nil
}

// acceptAll goes on until the listener is closed. What passes, such as a want
// of descriptors (accept(2)), is waited for.
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
		case <-w.deaf:
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

// handleOne is one connection to its end.
func (w *Worker) handleOne(ctx context.Context, c net.Conn, handle func(context.Context, net.Conn)) {
	w.requests.Add(1)
	stop := context.AfterFunc(w.hard, func() {
		_ = c.Close() // it may be closed already
		w.report.cut.Add(1)
	})
	defer c.Close()
	handle(ctx, c)
	if stop() && ctx.Err() != nil {
		w.report.finished.Add(1)
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
	served := make(chan error, 1)
	w.wg.Go(func() { served <- srv.Serve(ln) })
	err := w.serveUntil(ctx, ln, served)
	open := w.open()
	done := make(chan struct{})
	w.wg.Go(func() {
		defer close(done)
		srv.GracefulStop()
	})
	select {
	case <-done:
		w.report.told.Add(int64(open))
	case <-w.hard.Done():
		cut := w.open()
		w.report.told.Add(int64(max(0, open-cut)))
		w.report.cut.Add(int64(cut))
		srv.Stop() // ends GracefulStop as well
		<-done
	}
	return err
}
