package handover

import (
	"bytes"
	"sync/atomic"
)

// trace follows a connection of HTTP/1 through net/http and knows, while a
// request is awaited, which bytes the server has read and not yet parsed: with
// them the connection can go on in another process.
//
// It relies on how http.Server reads (net/http/server.go, conn.serve): through
// a buffer of [serverBuffer] bytes; after an answer it reports StateIdle, sets
// the deadline of an idle connection once, peeks at [serverPeek] bytes, sets
// the next deadline, and reports StateActive as soon as it has a request; only
// then it reads in the background, a single byte. What does not fit in with
// this is not known, and such a connection stays where it is until it is idle
// again. TestServerReads fails when a release of Go changes it.
type trace struct {
	round    round
	tail     [serverPeek - 1]byte // the last bytes that were read, right-aligned
	tailLen  int
	unparsed []byte      // while round is waiting
	h2c      bool        // the server speaks HTTP/2 without TLS: it reads the preface alone
	http2    atomic.Bool // the client has sent the preface
}

const (
	serverBuffer = 4096
	serverPeek   = 4
	// maxUnparsed is how much of a request may have come for its connection to
	// move still; a longer one is answered first.
	maxUnparsed = 16 << 10
)

// round is how far the server is between two requests of a connection.
type round int

const (
	notFollowed round = iota // not net/http's alone: TLS, HTTP/2, hijacked
	busy                     // a request is being answered
	answered                 // StateIdle was reported
	peeking                  // the deadline of an idle connection was set
	waiting                  // for a request; unparsed is what has come of it
	unsure                   // for a request that lies partly in the server's buffer
)

// begin is StateNew: nothing has been read.
func (t *trace) begin() { t.round, t.unparsed = waiting, nil }

// to is StateActive or StateIdle: the server has a request, or has answered it.
func (t *trace) to(r round) {
	if t.round != notFollowed {
		t.round, t.unparsed = r, nil
	}
}

// stop is the end of it.
func (t *trace) stop() { t.round, t.unparsed = notFollowed, nil }

// deadline is a call of SetReadDeadline by the server.
func (t *trace) deadline() {
	switch t.round {
	case answered:
		t.round = peeking
	case peeking:
		t.round = unsure // it did not have to read to see the next request's first bytes
	}
}

// reads is the beginning of a read into space bytes. The first one after an
// answer tells how much lies in the server's buffer: it is filled to its end.
func (t *trace) reads(space int) {
	if t.round != peeking && t.round != answered {
		return
	}
	held := serverBuffer - space
	if t.round == answered || held < 0 || held > t.tailLen {
		t.round = unsure
		return
	}
	t.round = waiting
	t.unparsed = bytes.Clone(t.tail[len(t.tail)-held:])
}

// got takes in what a read returned.
func (t *trace) got(p []byte) {
	if len(p) == 0 {
		return
	}
	t.keepTail(p)
	if t.round != waiting {
		return
	}
	t.unparsed = append(t.unparsed, p...)
	switch {
	case t.h2c && string(t.unparsed) == preface:
		t.stop()
		t.http2.Store(true)
	case len(t.unparsed) > maxUnparsed:
		t.round, t.unparsed = unsure, nil
	}
}

func (t *trace) keepTail(p []byte) {
	if n := len(p) - len(t.tail); n > 0 {
		p = p[n:]
	}
	copy(t.tail[:], t.tail[len(p):])
	copy(t.tail[len(t.tail)-len(p):], p)
	t.tailLen = min(len(t.tail), t.tailLen+len(p))
}

// movable tells whether what the server has not parsed is known.
func (t *trace) movable() bool { return t.round == waiting }
