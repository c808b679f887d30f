package worker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// ServeHTTP serves srv on ln until ctx ends, tells the primary that the worker
// is ready, and then drains without losing a request. It takes srv over: its
// Handler, ConnState and ConnContext are wrapped.
//
// http.Server.Shutdown alone drops a request that it has read just after it
// began. Here the listener is closed first, so that all that was accepted is
// known. If ln is the worker's own listener, connections of plain HTTP/1 then
// move to the worker that takes over, each as soon as no request is under way:
// their clients notice nothing. The successor sees them as new connections.
//
// What cannot move is told to go: answers carry "Connection: close" (in
// HTTP/2: GOAWAY, without TLS twice, so that no request gets lost on its way);
// idle connections have the pool's lame duck for a last request; what is in flight is finished; only then comes Shutdown. Hijacked
// connections may go on until [Worker.Context] ends, see [Worker.Farewell],
// and are closed then.
func (w *Worker) ServeHTTP(ctx context.Context, srv *http.Server, ln net.Listener) error {
	d := newDrainer(w, srv, ln)
	d.wrap()
	served := make(chan error, 1)
	w.wg.Go(func() { served <- srv.Serve(ln) })
	defer d.takeMoved()()
	if err := w.Ready(); err != nil {
		return errors.Join(err, srv.Close(), <-served)
	}
	select {
	case err := <-served:
		if ctx.Err() == nil {
			return fmt.Errorf("serve http: %w", err)
		}
	case <-ctx.Done():
		d.draining.Store(true)
		w.Leave()
		<-w.deaf
		_ = ln.Close() // it may be around the worker's own, or none of it
		<-served       // from now on every accepted connection is known
	}
	d.draining.Store(true)
	return d.drain()
}

// wrap puts itself around what the server calls.
func (d *drainer) wrap() {
	handler := d.srv.Handler
	if handler == nil {
		handler = http.DefaultServeMux
	}
	d.srv.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		d.w.requests.Add(1)
		if d.draining.Load() && !d.goes(r) {
			rw.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(rw, r)
	})
	state := d.srv.ConnState
	d.srv.ConnState = func(c net.Conn, s http.ConnState) {
		d.note(c, s)
		if state != nil {
			state(c, s)
		}
	}
	if d.own == nil {
		return
	}
	value := d.srv.ConnContext
	d.srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if value != nil {
			ctx = value(ctx, c)
		}
		return context.WithValue(ctx, connKey{}, c)
	}
}

// connKey is the key of the connection in the context of its requests.
type connKey struct{}

// goes tells whether the connection of a request will leave this process by
// itself when it has been answered: it moves, or its client has been told.
func (d *drainer) goes(r *http.Request) bool {
	c, ok := r.Context().Value(connKey{}).(*conn)
	if !ok || !c.followed.Load() {
		return false
	}
	return r.ProtoMajor == 1 && d.mayMove() || r.ProtoMajor == 2 && d.wasTold(c)
}

// takeMoved lets the server serve connections that come from another process;
// the function that it returns ends that.
func (d *drainer) takeMoved() (end func()) {
	if d.own == nil {
		return func() {}
	}
	done := make(chan struct{})
	d.w.wg.Go(func() {
		defer close(done)
		_ = d.srv.Serve(d.lot) // until the lot is closed, or the server
		_ = d.lot.Close()      // always nil
	})
	d.own.serve(d)
	return func() {
		d.own.serve(nil)
		_ = d.lot.Close() // always nil
		<-done
	}
}

// idleTimeout is the server's own rule (net/http, Server.IdleTimeout).
func idleTimeout(srv *http.Server) time.Duration {
	if srv.IdleTimeout != 0 {
		return srv.IdleTimeout
	}
	return srv.ReadTimeout
}
