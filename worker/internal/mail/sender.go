package mail

import "time"

// sender is what an [Inbox] knows of a stream of messages; the lock of the inbox
// guards it.
type sender struct {
	id       id
	from     string
	mark     uint64    // the last that was handled: all up to it were
	failures []failure // among them, those that the sender may not know yet
	looked   uint64    // when it last came
	queue    []*Message
	bytes    int
	inHand   *Message
	last     uint64 // that was received on this stream, or is in hand
	waits    bool   // it is among those that are ready
	paused   bool   // by Retry
	stream   *inStream
}

// failure is the answer to a message that the application refused.
type failure struct {
	Seq  uint64 `cbor:"seq"`
	Data []byte `cbor:"data"`
}

// clear forgets what the sender will send again.
func (s *sender) clear() {
	s.queue, s.bytes, s.last = nil, 0, s.mark
	if s.inHand != nil {
		s.last = s.inHand.Seq
	}
}

// stir makes a sender ready if it has a message that may be taken.
func (in *Inbox) stir(s *sender) {
	if !s.waits && !s.paused && s.inHand == nil && len(s.queue) > 0 {
		s.waits = true
		in.ready <- s // it has room for each sender
	}
}

func (in *Inbox) unpause(s *sender) {
	in.mu.Lock()
	defer in.mu.Unlock()
	s.paused = false
	in.stir(s)
}

func (s *sender) full() bool { return len(s.queue) >= MaxMessages || s.bytes > windowBytes }

// failed is the answer to a message that was handled; nil: it went well.
func (s *sender) failed(seq uint64) *failure {
	for i, f := range s.failures {
		if f.Seq == seq {
			return &s.failures[i]
		}
	}
	return nil
}

// Message is one that was received. Each is to be ended by Done, Fail or Retry.
type Message struct {
	From             string
	Incarnation, Seq uint64
	Data             []byte
	Redelivered      bool
	Pass             Pass // with which it was received

	in     *Inbox
	sender *sender
	since  time.Time
}

// Done tells the sender that the message was handled.
func (m *Message) Done() { m.finish(nil) }

// Fail tells the sender that it was refused.
func (m *Message) Fail(err error) { m.finish(&failure{m.Seq, encodeError(err)}) }

func (m *Message) finish(f *failure) {
	in, s := m.in, m.sender
	in.mu.Lock()
	if s.inHand != m {
		in.mu.Unlock()
		return
	}
	s.inHand, s.mark = nil, m.Seq
	in.counts.Handled++
	if f != nil {
		in.counts.Failed++
		s.failures = append(s.failures, *f)
		s.failures = s.failures[max(0, len(s.failures)-MaxMessages):] // more cannot be unanswered
	}
	if s.stream != nil {
		s.stream.answer(f)
		if in.ended || in.away() {
			s.stream.close()
		}
	}
	in.stir(s)
	in.mu.Unlock()
	m.Pass.Leave()
}

// Retry puts the message back: it comes again after that time, before any other of
// its sender.
func (m *Message) Retry(after time.Duration) {
	in, s := m.in, m.sender
	in.mu.Lock()
	if s.inHand != m {
		in.mu.Unlock()
		return
	}
	s.inHand = nil
	if s.stream != nil && !in.ended && !in.away() { // else it is sent again
		again := *m // m is ended, whatever is called later
		s.queue = append([]*Message{&again}, s.queue...)
		s.bytes += cost(m.Data)
		s.paused = true
		time.AfterFunc(after, func() { in.unpause(s) })
	} else if s.stream != nil {
		s.stream.close()
	}
	in.mu.Unlock()
	m.Pass.Leave()
}
