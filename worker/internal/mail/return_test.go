package mail

import (
	"bufio"
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/norestart/norestart/internal/harness"
)

// TestGateClosedBehindIt: a receiver that has a message at the gate when the state
// goes receives again when the worker takes its work back.
func TestGateClosedBehindIt(t *testing.T) {
	s := newSlot(t)
	in := s.inbox
	var gone atomic.Bool
	atGate, pass := make(chan struct{}, 1), make(chan struct{})
	refused := make(chan struct{}, 1)
	in.Enter = func(context.Context) (Pass, error) {
		select {
		case atGate <- struct{}{}:
		default:
		}
		<-pass
		if !gone.Load() {
			return free{}, nil
		}
		select {
		case refused <- struct{}{}:
		default:
		}
		return nil, errors.New("gone")
	}
	got := make(chan *Message, 1)
	s.wg.Go(func() { got <- receive(t, in) })
	ended := s.send(t.Context(), 0, 1)
	<-atGate
	in.LetGo()
	gone.Store(true)
	close(pass)
	<-refused
	gone.Store(false)
	in.Resume()
	(<-got).Done()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestFailureComesFirst: when answers were lost, a failure is told before the number
// up to which all went well, and is taken before its message is sent again.
func TestFailureComesFirst(t *testing.T) {
	s := newSlot(t)
	from := id{Incarnation: 7, Peer: 1}
	why := encodeError(errors.New("the disk is full"))
	s.inbox.Inherit(Marks{Lines: []uint64{3}, Senders: []mark{{ID: from, Mark: 2, Failures: []failure{{2, why}}}}})
	conn, _, err := s.dial(t.Context(), "jobs/0", from.Peer)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	w := bufio.NewWriter(conn)
	if err := errors.Join(writeFrame(w, message, 1, nil), w.Flush()); err != nil {
		t.Fatal(err)
	}
	p := &peer{}
	lost := []*letter{{seq: 1, sent: true, result: make(chan error, 1)}, {seq: 2, sent: true, result: make(chan error, 1)}}
	p.queue = append(p.queue, lost...)
	r := bufio.NewReader(conn)
	for _, want := range []kind{failed, handled} {
		f, err := readFrame(r)
		if err != nil || f.kind != want || f.seq != 2 {
			t.Fatalf("%q %d, %v; want %q of 2", f.kind, f.seq, err, want)
		}
		if want == failed {
			p.failedAt(f)
		}
	}
	if len(p.queue) != 1 || len(lost[1].result) != 1 {
		t.Fatalf("%d messages are left", len(p.queue))
	}
	if err := <-lost[1].result; err == nil || err.Error() != "message to : refused: the disk is full" {
		t.Error(err)
	}
}

// TestClosedAtOnce: a receiver that closes before a message came again knows nothing
// of the one before, which may have handled it.
func TestClosedAtOnce(t *testing.T) {
	l := &letter{seq: 1, sent: true, line: 5}
	p := &peer{queue: []*letter{l}}
	p.untouched()
	p.closing = false
	if p.unwritten(nil, []uint64{6}); !l.again {
		t.Error("it is not told that the message may have been handled")
	}
}

// TestAbandon: what was handled is answered when the process ends, and what is in
// hand is not.
func TestAbandon(t *testing.T) {
	s := newSlot(t)
	ended := s.send(t.Context(), 0, 2)
	in := s.inbox
	receive(t, in).Done()
	receive(t, in)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	s.become(2)
	in.Abandon()
	m := receive(t, s.inbox)
	if !m.Redelivered {
		t.Error("it is not told that the message may have been handled")
	}
	m.Done()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestAgainWhileInHand: a message that comes again while it is in hand is not given
// out again, and the next of its sender waits for its end.
func TestAgainWhileInHand(t *testing.T) {
	s := newSlot(t)
	ended := s.send(t.Context(), 0, 1)
	m := receive(t, s.inbox)
	s.cut()
	next := s.send(t.Context(), 1, 2)
	if err := harness.Poll(t.Context(), func() bool { return s.inbox.Counts().Queued > 0 }); err != nil {
		t.Fatal(err)
	}
	if n := len(s.inbox.ready); n != 0 {
		t.Error("another message of the sender is given out")
	}
	m.Done()
	m = receive(t, s.inbox)
	if string(m.Data) != "1" {
		t.Errorf("message %s is given out, want 1", m.Data)
	}
	m.Done()
	for _, c := range []<-chan error{ended, next} {
		if err := <-c; err != nil {
			t.Error(err)
		}
	}
}
