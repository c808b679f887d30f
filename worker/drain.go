package worker

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// drainer follows the connections of one http.Server.
//
// Invariant: while a drain waits, a connection of the server is counted in at
// least one place: by its state, in the lot, or on its way to the heir.
type drainer struct {
	w        *Worker
	srv      *http.Server
	own      *listener // whose connections can move; nil: none of them
	lot      *lot
	draining atomic.Bool
	insists  atomic.Bool   // who was told to go in time and still asks gets this answer and no other
	forced   atomic.Bool   // what is closed now is cut
	changed  chan struct{} // size 1: some state is new

	mu     sync.Mutex // locked before that of the lot
	states map[net.Conn]http.ConnState
	counts map[http.ConnState]int
	moving int  // on their way to the heir
	back   bool // some have come back since it was asked
}

func newDrainer(w *Worker, srv *http.Server, ln net.Listener) *drainer {
	d := &drainer{
		w: w, srv: srv, changed: make(chan struct{}, 1),
		states: make(map[net.Conn]http.ConnState), counts: make(map[http.ConnState]int),
	}
	if own, ok := ln.(*listener); ok && (srv.Protocols == nil || srv.Protocols.HTTP1()) {
		d.own = own
		d.lot = newLot(own.Addr(), idleTimeout(srv), d.bequeath, d.tell)
	}
	return d
}

// note takes in what the server reports of a connection.
func (d *drainer) note(nc net.Conn, s http.ConnState) {
	d.trace(nc, s)
	d.mu.Lock()
	was, known := d.states[nc]
	if known {
		d.counts[was]--
	}
	if known && s == http.StateClosed && d.draining.Load() {
		d.ended(nc, was) // before anybody can see that it has gone
	}
	if s == http.StateClosed || s == http.StateHijacked {
		delete(d.states, nc)
	} else {
		d.states[nc] = s
		d.counts[s]++
	}
	d.mu.Unlock()
	if c, ok := nc.(*conn); ok && s == http.StateNew && d.own != nil {
		d.lot.forget(c)
	}
	d.tell()
}

// trace tells a connection what the server reports of it.
func (d *drainer) trace(nc net.Conn, s http.ConnState) {
	c, direct := nc.(*conn)
	switch {
	case direct && s == http.StateNew && d.own == c.from && d.own != nil:
		c.follow(d)
	case s == http.StateHijacked && !direct:
		if c = own(nc); c != nil {
			c.hijacked.Store(true)
		}
	case direct:
		c.became(s)
	}
}

// ended counts a connection that has ended in the drain.
func (d *drainer) ended(nc net.Conn, was http.ConnState) {
	c, ok := nc.(*conn)
	switch {
	case ok && c.hasLeft(), d.forced.Load(): // counted elsewhere
	case was == http.StateActive:
		d.w.report.finished.Add(1)
	default:
		d.w.report.told.Add(1)
	}
}

// tell wakes who waits for a change.
func (d *drainer) tell() {
	if !d.draining.Load() {
		return
	}
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// count tells how many connections are in one of the states. One that is on
// its way to the heir counts as active, one in the lot as idle.
func (d *drainer) count(states ...http.ConnState) int {
	d.mu.Lock()
	defer d.mu.Unlock() // also while the lot is asked: a connection may be on its way between the two
	n := 0
	for _, s := range states {
		n += d.counts[s]
		switch {
		case s == http.StateActive:
			n += d.moving
		case s == http.StateIdle && d.own != nil:
			n += d.lot.len()
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
	d.depart()
	d.goAway()
	d.grace()
	d.insists.Store(true)
	for d.heir() != nil || d.returned() {
		// Those that are busy move when they have been answered.
		d.wait(hard, http.StateActive)
		d.part()
		if !d.returned() {
			break
		}
		d.grace()
	}
	// What is in flight since before the drain has no "Connection: close" yet,
	// and gets it now, if its headers have not been written.
	d.srv.SetKeepAlivesEnabled(false)
	d.wait(hard, http.StateActive)
	err := d.shutdown()
	d.wait(hard, http.StateNew, http.StateActive, http.StateIdle) // closed, they still have to tell
	d.hijacked()
	return err
}

// part lets connections leave that were answered a moment ago: they are idle
// for that moment, and nobody told their clients to go. One of which a part of
// the next request has come waits for the rest of it.
func (d *drainer) part() {
	ctx, done := context.WithTimeout(d.w.hard, max(d.w.drain.LameDuck, firstRequest))
	defer done()
	if d.heir() != nil {
		d.wait(ctx, http.StateActive, http.StateIdle)
	}
}

// grace gives connections that wait the lame duck for a last request.
func (d *drainer) grace() {
	d.takeReturned()
	fresh, done := context.WithTimeout(d.w.hard, firstRequest)
	defer done()
	grace, cancel := context.WithTimeout(d.w.hard, d.w.drain.LameDuck)
	defer cancel()
	d.wait(grace, http.StateNew, http.StateActive, http.StateIdle)
	d.wait(fresh, http.StateNew)
}

// shutdown closes what is idle, and at the end of the time what is not.
func (d *drainer) shutdown() error {
	if d.own != nil {
		d.own.serve(nil)
		_ = d.lot.Close() // always nil
		d.w.report.told.Add(int64(d.lot.closedHere()))
	}
	err := d.srv.Shutdown(d.w.hard)
	if !errors.Is(err, context.Canceled) {
		return err
	}
	d.forced.Store(true)
	d.w.report.cut.Add(int64(d.count(http.StateActive, http.StateNew)))
	return d.srv.Close()
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
	d.untilClosed()
	told, gone := d.w.takeSaid(), d.w.parted()
	d.w.report.cut.Add(int64(d.w.closeAll()))
	d.w.report.told.Add(int64(told))
	d.w.report.finished.Add(int64(max(0, gone-told)))
}

func (d *drainer) untilClosed() {
	t := time.NewTicker(hijackedPoll)
	defer t.Stop()
	for d.w.open() > 0 {
		select {
		case <-t.C:
		case <-d.w.hard.Done():
			return
		}
	}
}
