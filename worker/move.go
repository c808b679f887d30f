package worker

import "time"

// A worker that drains has an heir: the worker that goes on. This file is how a
// connection gets from a server here to the heir, and back if it does not take
// it.

// heir is who takes connections of this server now; nil: nobody.
func (d *drainer) heir() *heir {
	for d.own != nil {
		h := d.w.heir.Load()
		switch {
		case h == nil:
			return nil
		case h.takes(d.own.name):
			return h
		case h == d.w.heir.Load():
			return nil
		}
		// Another has just taken its place.
	}
	return nil
}

// nextHeir is how long a drain waits for the next heir before it tells
// connections to go; they have the rest of a lame duck then.
const nextHeir = 2 * time.Second

// mayMove tells whether connections move, or will soon.
func (d *drainer) mayMove() bool {
	if d.heir() != nil {
		return true
	}
	h := d.w.heir.Load()
	return h != nil && d.own != nil && (h.takes(d.own.name) || h.justLost(min(nextHeir, d.w.drain.LameDuck/2)))
}

// depart asks every connection to move, if there is somebody who takes it:
// each goes as soon as it waits for a request.
func (d *drainer) depart() {
	if d.heir() == nil {
		return
	}
	d.lot.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	for nc := range d.states {
		if c, ok := nc.(*conn); ok {
			c.leave()
		}
	}
}

// bequeath gives the heir a connection that has left the server.
func (d *drainer) bequeath(c *conn) {
	d.mu.Lock()
	d.moving++
	d.mu.Unlock()
	if h := d.heir(); h == nil || !h.push(c) {
		d.settle(c, false)
	}
}

// settle ends the way of a connection to the heir: it took it, or it is served
// on here.
func (d *drainer) settle(c *conn, taken bool) {
	if taken {
		d.w.report.moved.Add(1)
		_ = c.end() // only this process's copy of it
	} else {
		d.takeBack(c)
	}
	d.mu.Lock()
	d.moving--
	d.back = d.back || !taken
	d.mu.Unlock()
	d.tell()
}

// takeBack lets the server here accept a connection once more.
func (d *drainer) takeBack(c *conn) {
	again := &conn{Conn: c.Conn, from: c.from, server: d, replay: c.rest()}
	_ = c.Conn.SetDeadline(time.Time{}) // it may have ended: the next read tells
	c.from.know(again)
	c.from.forget(c)
	if !d.lot.reserve(again) {
		d.w.report.told.Add(1)
		_ = again.end() // the drain is over
		return
	}
	if d.heir() != nil { // asked after it has a place: the next heir may have come meanwhile
		again.wake()
	}
	d.lot.park(again)
}

// returned tells whether connections have come back, which may have been
// answered without "Connection: close" since the lame duck began.
func (d *drainer) returned() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.back
}

func (d *drainer) takeReturned() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.back = false
}
