package mail

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"
)

// Inbox receives the messages to one process.
type Inbox struct {
	// Enter waits until work may begin, and counts it until Leave is called.
	Enter func(ctx context.Context) (Pass, error)
	// Go starts a goroutine that its owner waits for.
	Go func(func())

	mu      sync.Mutex
	room    sync.Cond // of mu: a queue has become shorter, or a stream has ended
	lines   []uint64  // its own, and those that it has inherited, the latest first
	senders map[id]*sender
	looked  uint64 // counts looks at senders
	ready   chan *sender
	over    chan struct{} // closed by End
	back    chan struct{} // closed by Resume; nil: no successor has the marks
	ended   bool
	counts  Counts
}

// Pass is the leave to work on one message.
type Pass interface{ Leave() }

// Counts are those of an inbox.
type Counts struct {
	Queued, InHand               int
	Handled, Failed, Redelivered uint64
	Since                        time.Time // the oldest in hand was received; zero: none is
}

// id is a stream of messages: of one peer in one process.
type id struct{ Incarnation, Peer uint64 }

// maxSenders is how many are remembered. Those that have not been heard for
// longest are forgotten first.
const maxSenders = 4096

// maxLines is how many lines are remembered of those that a worker has inherited. A
// sender that comes back after more is told that its messages may be handled twice.
const maxLines = 64

// ErrOver is for a receiver that drains.
var ErrOver = errors.New("this worker takes no more messages: it drains")

// NewInbox returns one that begins a line.
func NewInbox(line uint64) *Inbox {
	in := &Inbox{lines: []uint64{line}, senders: make(map[id]*sender), ready: make(chan *sender, maxSenders), over: make(chan struct{})}
	in.room.L = &in.mu
	return in
}

// Receive waits for the next message: the first of a sender that has none in hand.
func (in *Inbox) Receive(ctx context.Context) (*Message, error) {
	for {
		var s *sender
		select {
		case s = <-in.ready:
		case <-in.over:
			return nil, ErrOver
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		pass, err := in.Enter(ctx)
		if err != nil {
			in.ready <- s // it has room for each sender
			if err := in.waitBack(ctx); err != nil {
				return nil, err
			}
			continue
		}
		if m := in.take(s, pass); m != nil {
			return m, nil
		}
		pass.Leave()
	}
}

// waitBack waits while a successor has the marks: this worker will be asked to
// drain, or gets them back.
func (in *Inbox) waitBack(ctx context.Context) error {
	in.mu.Lock()
	back := in.back
	in.mu.Unlock()
	if back == nil {
		return context.Cause(ctx)
	}
	select {
	case <-back:
		return nil
	case <-in.over:
		return ErrOver
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (in *Inbox) take(s *sender, pass Pass) *Message {
	in.mu.Lock()
	defer in.mu.Unlock()
	s.waits = false
	if len(s.queue) == 0 || s.inHand != nil || in.ended || in.away() {
		return nil // its stream has ended
	}
	m := s.queue[0]
	s.queue = s.queue[1:]
	s.bytes -= cost(m.Data)
	s.inHand, m.Pass, m.since = m, pass, time.Now()
	if m.Redelivered {
		in.counts.Redelivered++
	}
	in.room.Broadcast()
	return m
}

// Lines are what a sender has to know; nil: no messages are taken now.
func (in *Inbox) Lines() []uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ended || in.away() {
		return nil
	}
	return append([]uint64(nil), in.lines...)
}

// Serve reads the messages of a stream to its end.
func (in *Inbox) Serve(conn net.Conn, from string, incarnation, peer uint64) {
	st := &inStream{in: in, conn: conn, wake: make(chan struct{}, 1)}
	defer conn.Close()
	defer st.end()
	if !in.begin(st, from, id{incarnation, peer}) {
		return
	}
	in.Go(st.write)
	st.read()
}

func (in *Inbox) begin(st *inStream, from string, id id) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ended || in.away() {
		return false
	}
	s := in.senders[id]
	if s == nil {
		if !in.makeRoom() {
			return false
		}
		s = &sender{id: id}
		in.senders[id] = s
	}
	s.from = from
	in.looked++
	s.looked = in.looked
	if s.stream != nil {
		_ = s.stream.conn.Close() // the sender has lost it, or says more than it may
	}
	s.stream, st.sender = st, s
	if st.failures = slices.Clone(s.failures); len(st.failures) > 0 {
		st.stir() // before an answer to what comes again, which tells of all up to a number
	}
	s.clear()
	in.room.Broadcast()
	return true
}

// makeRoom forgets a sender; false if all are there.
func (in *Inbox) makeRoom() bool {
	if len(in.senders) < maxSenders {
		return true
	}
	var oldest *sender
	for _, s := range in.senders {
		if s.stream == nil && !s.waits && s.inHand == nil && (oldest == nil || s.looked < oldest.looked) {
			oldest = s
		}
	}
	if oldest != nil {
		delete(in.senders, oldest.id)
	}
	return oldest != nil
}

// LetGo tells all senders to go to the successor, which has the marks.
func (in *Inbox) LetGo() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.back == nil {
		in.back = make(chan struct{})
	}
	in.closeStreams()
}

// Resume is for a worker that goes on, because its successor has failed. Work may
// begin again by then.
func (in *Inbox) Resume() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.back != nil {
		close(in.back)
		in.back = nil
	}
}

// End takes no more messages. Those in hand are answered yet.
func (in *Inbox) End() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.ended {
		in.ended = true
		close(in.over)
	}
	in.closeStreams()
}

// Abandon is for a worker that ends: messages that are in hand still are not
// answered. All else is.
func (in *Inbox) Abandon() {
	in.End()
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, s := range in.senders {
		if s.stream != nil && s.inHand != nil {
			_ = s.stream.conn.Close() // it ends the reader and the writer
		}
	}
}

// away reports whether a successor has the marks.
func (in *Inbox) away() bool { return in.back != nil }

func (in *Inbox) closeStreams() {
	for _, s := range in.senders {
		s.clear()
		if s.stream != nil && s.inHand == nil {
			s.stream.close()
		}
	}
	in.room.Broadcast()
}

// Counts is how things are now.
func (in *Inbox) Counts() Counts {
	in.mu.Lock()
	defer in.mu.Unlock()
	c := in.counts
	for _, s := range in.senders {
		c.Queued += len(s.queue)
		if m := s.inHand; m != nil {
			c.InHand++
			if c.Since.IsZero() || m.since.Before(c.Since) {
				c.Since = m.since
			}
		}
	}
	return c
}
