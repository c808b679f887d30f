package worker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// ServeHTTP serves srv on ln until ctx ends, tells the primary that the worker
// is ready, and then drains without losing a request. It takes srv over: its
// Handler and ConnState are wrapped.
//
// http.Server.Shutdown alone drops a request that it has read just after it
// began. Here the listener is closed first, so that all that was accepted is
// known; answers carry "Connection: close" (in HTTP/2: GOAWAY); idle
// connections have the pool's lame duck for a last request; what is in flight
// is finished; only then comes Shutdown. Hijacked connections may go on until
// [Worker.Context] ends, and are closed then.
func (w *Worker) ServeHTTP(ctx context.Context, srv *http.Server, ln net.Listener) error {
	d := &drainer{w: w, srv: srv, states: make(map[net.Conn]http.ConnState), changed: make(chan struct{}, 1)}
	d.wrap()
	served := make(chan error, 1)
	w.wg.Go(func() { served <- srv.Serve(ln) })
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

// drainer follows the connections of one http.Server.
type drainer struct {
	w        *Worker
	srv      *http.Server
	draining atomic.Bool
	changed  chan struct{} // size 1: some state is new

	mu     sync.Mutex // a leaf
	states map[net.Conn]http.ConnState
}

// wrap puts itself around what the server calls.
func (d *drainer) wrap() {
	handler := d.srv.Handler
	if handler == nil {
		handler = http.DefaultServeMux
	}
	d.srv.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		d.w.requests.Add(1)
		if d.draining.Load() {
			rw.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(rw, r)
	})
	theirs := d.srv.ConnState
	d.srv.ConnState = func(c net.Conn, s http.ConnState) {
		d.note(c, s)
		if theirs != nil {
			theirs(c, s)
		}
	}
}

func (d *drainer) note(c net.Conn, s http.ConnState) {
	d.mu.Lock()
	_, known := d.states[c]
	draining := d.draining.Load()
	if known && draining && s == http.StateClosed {
		d.w.finished.Add(1) // before anybody can see that it has gone
	}
	if s == http.StateClosed || s == http.StateHijacked {
		delete(d.states, c)
	} else {
		d.states[c] = s
	}
	d.mu.Unlock()
	if !draining {
		return
	}
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// count tells how many connections are in one of the states.
func (d *drainer) count(states ...http.ConnState) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, s := range d.states {
		for _, want := range states {
			if s == want {
				n++
			}
		}
	}
	return n
}

// firstRequest is how long a connection that has just been accepted has for
// its first request, even without a lame duck: Shutdown would drop it.
const firstRequest = time.Second

// drain begins when the listener is closed and Serve has returned.
func (d *drainer) drain() error {
	hard := d.w.hard
	fresh, done := context.WithTimeout(hard, firstRequest)
	defer done()
	grace, cancel := context.WithTimeout(hard, d.w.drain.LameDuck)
	d.wait(grace, http.StateNew, http.StateActive, http.StateIdle)
	cancel()
	d.wait(fresh, http.StateNew)
	// What is in flight since before the drain has no "Connection: close" yet,
	// and gets it now, if its headers have not been written.
	d.srv.SetKeepAlivesEnabled(false)
	d.wait(hard, http.StateActive)
	err := d.srv.Shutdown(hard)
	if errors.Is(err, context.Canceled) { // the time is over
		d.w.lost.Add(int64(d.count(http.StateActive, http.StateNew)))
		err = d.srv.Close()
	}
	d.wait(hard, http.StateNew, http.StateActive, http.StateIdle) // closed, they still have to tell
	d.hijacked()
	return err
}

// wait returns when no connection is in one of the states, or ctx ends.
func (d *drainer) wait(ctx context.Context, states ...http.ConnState) {
	for d.count(states...) > 0 {
		select {
		case <-d.changed:
		case <-ctx.Done():
			return
		}
	}
}

// hijackedPoll is how often a drain looks whether the hijacked connections,
// which no longer tell of their end, have gone.
const hijackedPoll = 50 * time.Millisecond

// hijacked waits for the connections that handlers have taken over, and closes
// those that are left when the time is over.
func (d *drainer) hijacked() {
	t := time.NewTicker(hijackedPoll)
	defer t.Stop()
	for d.w.open() > 0 {
		select {
		case <-t.C:
		case <-d.w.hard.Done():
			d.w.lost.Add(int64(d.w.closeAll()))
			return
		}
	}
}
