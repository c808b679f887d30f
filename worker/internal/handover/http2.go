package handover

import (
	"bytes"
	"encoding/binary"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// frames follows what an http.Server reads from and writes to a connection of
// HTTP/2, so that frames of ours can go between its frames.
//
// A server that ends a connection should send GOAWAY twice (RFC 9113 §6.8): first
// to ask for no more requests, while it still answers those on their way, and
// later to name the last one. net/http sends only the second one, and silently
// drops what a client sent before reading it; not every request may be sent
// again.
//
// So the first GOAWAY is ours, with a PING behind it. Its answer proves that the
// client has read the GOAWAY. Instead of that answer the server reads a GOAWAY of
// the client, and then does what we want: it sends the second GOAWAY, answers
// what has come before, and closes.
type frames struct {
	used  atomic.Bool // a request has come
	told  atomic.Bool // the client is being told to go
	asked atomic.Bool // the PING is on its way

	next []byte // what the server reads next: the head of a frame, or our answer
	give int    // bytes of next that the server has not read; 0: next is not whole
	body int    // bytes of the frame that follow next

	mu     sync.Mutex
	head   []byte // of the frame that is being written, until it is whole
	rest   int    // bytes of it that follow the head
	begun  bool   // a whole frame was sent: SETTINGS, which has to be the first
	over   bool   // the server has sent its own GOAWAY: nothing of ours may follow
	unsent []byte // frames of ours
}

// headSize is that of a frame's head (RFC 9113 §4.1): its length, its type,
// its flags, its stream.
const headSize = 9

// oursSize is that of a PING, and of a GOAWAY without a text.
const oursSize = headSize + 8

// Our frames, and what the server reads instead of an answer.
var (
	// noMoreRequests is a GOAWAY without an error that has the highest possible
	// last stream.
	noMoreRequests = []byte{0, 0, 8, typeGoAway, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0}
	ping           = []byte{0, 0, 8, typePing, 0, 0, 0, 0, 0, 'g', 'o', 'i', 'n', 'g', 'o', 'f', 'f'}
	pingAnswer     = []byte{0, 0, 8, typePing, 1, 0, 0, 0, 0, 'g', 'o', 'i', 'n', 'g', 'o', 'f', 'f'}
	// clientGoes is a GOAWAY of a client, to which no stream was opened.
	clientGoes = []byte{0, 0, 8, typeGoAway, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
)

// Types of frames (RFC 9113 §6).
const (
	typeHeaders = 1
	typePing    = 6
	typeGoAway  = 7
)

// send sends a frame of ours at once, or behind the frame that the server is
// writing.
func (f *frames) send(w io.Writer, frame []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return
	}
	f.unsent = append(f.unsent, frame...)
	if f.begun && f.between() {
		_ = f.flush(w) // what follows fails, too
	}
}

// write writes the server's bytes, and our frames between its frames.
func (f *frames) write(w io.Writer, p []byte) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
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

// between reports whether the last frame is whole.
func (f *frames) between() bool { return len(f.head) == 0 && f.rest == 0 }

// follow notes the server's bytes. While a frame of ours waits, it takes them
// only up to the end of a frame, and returns how many.
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
			f.rest = bodySize(f.head)
			if f.head[3] == typeGoAway {
				f.over, f.unsent = true, nil // a last stream is never raised again (RFC 9113 §6.8)
			}
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

func bodySize(head []byte) int { return int(binary.BigEndian.Uint32(head) >> 8) }

// read gives the server what its client says. Only one call is made at a time.
func (f *frames) read(from func([]byte) (int, error), p []byte) (int, error) {
	if f.give == 0 && f.body == 0 {
		if err := f.readNext(from); err != nil {
			return 0, err
		}
	}
	if f.give > 0 {
		n := copy(p, f.next[len(f.next)-f.give:])
		if f.give -= n; f.give == 0 {
			f.next = f.next[:0]
		}
		return n, nil
	}
	n, err := from(p[:min(len(p), f.body)])
	f.body -= n
	return n, err
}

// readNext reads the head of a frame, or the whole frame if it may be the answer
// to our PING.
func (f *frames) readNext(from func([]byte) (int, error)) error {
	size := headSize
	for len(f.next) < size {
		var some [oursSize]byte
		n, err := from(some[:size-len(f.next)])
		f.next = append(f.next, some[:n]...)
		if bytes.Equal(f.next, pingAnswer[:headSize]) {
			size = oursSize
		}
		if err != nil && len(f.next) < size {
			return err
		}
	}
	f.give = size
	if size == headSize {
		f.body = bodySize(f.next)
		if f.next[3] == typeHeaders {
			f.used.Store(true)
		}
	} else if f.asked.Load() && bytes.Equal(f.next, pingAnswer) {
		copy(f.next, clientGoes)
	}
	return nil
}

// settle is the time between the first GOAWAY and the PING. Some clients, as
// net/http, number a request before they write it and do not look for a GOAWAY in
// between: the request may come behind the answer to the PING. On a crowded
// machine some tenths of a second may pass in between.
const settle = time.Second

// goAway asks clients of HTTP/2 for no more requests: those that have made one,
// or all. (Some clients give up if they are asked before their first one.) It
// reaches only connections of the worker's own listeners, and without TLS only if
// the server reads from the listener itself: it does not see the frames of
// others.
func (s *Server) goAway(all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for nc := range s.states {
		c := inner(nc)
		if c == nil || !all && !c.frames.used.Load() {
			continue
		}
		if w := c.tell(); w != nil {
			s.all.start(func() { c.sendGoAway(w) })
		}
	}
}

// tell begins to tell the client to go, and returns where its frames are written;
// nil if it does not speak HTTP/2, or has been told.
func (c *conn) tell() io.Writer {
	c.mu.Lock()
	defer c.mu.Unlock()
	var w io.Writer
	switch {
	case c.tls != nil:
		w = c.tls
	case c.trace.http2.Load():
		w = c.Conn
	default:
		return nil
	}
	if c.frames.told.Swap(true) {
		return nil
	}
	return w
}

func (c *conn) sendGoAway(w io.Writer) {
	c.frames.send(w, noMoreRequests)
	time.AfterFunc(settle, func() {
		c.frames.asked.Store(true)
		c.frames.send(w, ping)
	})
}
