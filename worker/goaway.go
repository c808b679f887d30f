package worker

import (
	"bytes"
	"encoding/binary"
	"io"
	"sync"
	"sync/atomic"
)

// frames follows what an http.Server writes to a connection of HTTP/2, so that
// a frame of our own can go between two of its.
//
// A server that ends a connection should say so twice (RFC 9113 §6.8): first
// that no more requests shall come, while those that are on their way already
// are still answered, and later which one was the last. net/http says the
// second thing only, and drops without a word what a client sent before it had
// read that; not every request may be sent again.
type frames struct {
	wanted atomic.Bool // that no more requests shall come

	mu     sync.Mutex // held for a write, which may wait for the peer; no other is taken under it
	head   []byte     // of the frame that is being written, until it is whole
	rest   int        // bytes of it to come after the head
	begun  bool       // a whole frame has gone: SETTINGS, which has to be the first
	said   bool       // what is wanted; unsent is what has not gone of it
	unsent []byte
}

// headSize is that of a frame's head (RFC 9113 §4.1): its length, its type,
// its flags, its stream.
const headSize = 9

// noMoreRequests is a GOAWAY without an error whose last stream is the highest
// that there can be.
var noMoreRequests = []byte{0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0}

// goAway says what is wanted: at once, if the server is not within a frame,
// else behind that one.
func (f *frames) goAway(w io.Writer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.take()
	if f.begun && f.between() {
		_ = f.flush(w) // what follows fails, too
	}
}

func (f *frames) take() {
	if f.wanted.Load() && !f.said {
		f.said, f.unsent = true, bytes.Clone(noMoreRequests)
	}
}

// write writes what the server says, and our frame where there is room for it.
func (f *frames) write(w io.Writer, p []byte) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.take()
	for n < len(p) {
		if len(f.unsent) == 0 {
			m, err := w.Write(p[n:])
			f.follow(p[n : n+m])
			return n + m, err
		}
		to := n + f.follow(p[n:])
		m, err := w.Write(p[n:to])
		if n += m; err != nil {
			return n, err
		}
		if f.between() {
			if err := f.flush(w); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (f *frames) flush(w io.Writer) error {
	if len(f.unsent) == 0 {
		return nil
	}
	n, err := w.Write(f.unsent)
	f.unsent = f.unsent[n:]
	return err
}

// between tells whether the last frame is whole.
func (f *frames) between() bool { return len(f.head) == 0 && f.rest == 0 }

// follow takes in what is written, and, while a frame of ours waits, no more
// than up to the end of a frame. It tells how much that is.
func (f *frames) follow(p []byte) int {
	n := 0
	for n < len(p) {
		if f.rest == 0 {
			m := min(headSize-len(f.head), len(p)-n)
			f.head = append(f.head, p[n:n+m]...)
			n += m
			if len(f.head) < headSize {
				break
			}
			f.rest = int(binary.BigEndian.Uint32(f.head) >> 8)
		}
		m := min(f.rest, len(p)-n)
		f.rest -= m
		n += m
		if f.rest > 0 {
			break
		}
		f.head, f.begun = f.head[:0], true
		if len(f.unsent) > 0 {
			break
		}
	}
	return n
}

// goAway tells the clients of HTTP/2 that no more requests shall come. Only the
// worker's own connections without TLS can be told: nobody else's frames are
// seen here.
func (d *drainer) goAway() {
	if d.own == nil || d.srv.Protocols == nil || !d.srv.Protocols.UnencryptedHTTP2() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for nc := range d.states {
		c, ok := nc.(*conn)
		if !ok {
			continue
		}
		c.frames.wanted.Store(true)
		if c.speaksHTTP2() { // else the server has written nothing yet, and begins with it
			d.w.wg.Go(func() { c.frames.goAway(c.Conn) })
		}
	}
}

// speaksHTTP2 tells whether the client has said so.
func (c *conn) speaksHTTP2() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trace.http2
}

// wasTold tells whether the connection ends by itself: its client was told in
// time.
func (d *drainer) wasTold(c *conn) bool { return c.frames.wanted.Load() && !d.insists.Load() }
