package mail

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/harness"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// slotOf is a slot whose receiver can be replaced.
type slotOf struct {
	t  testing.TB
	wg sync.WaitGroup

	mu      sync.Mutex
	inbox   *Inbox
	streams []net.Conn // of the receiver
	out     *Outbox
	cancel  context.CancelFunc
}

func newSlot(t testing.TB) *slotOf {
	t.Helper()
	s := &slotOf{t: t}
	living, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.out = &Outbox{Dial: s.dial, Lasting: func(err error) bool { return errors.Is(err, control.ErrNoWorker) }, Living: living, Go: func(f func()) { s.wg.Go(f) }}
	s.become(1)
	t.Cleanup(func() {
		cancel()
		s.inbox.End()
		s.cut()
		s.wg.Wait()
	})
	return s
}

// free is a pass that is not counted.
type free struct{}

func (free) Leave() {}

// become makes a new receiver, without the marks of the last.
func (s *slotOf) become(line uint64) *Inbox {
	in := NewInbox(line)
	in.Go = func(f func()) { s.wg.Go(f) }
	in.Enter = func(context.Context) (Pass, error) { return free{}, nil }
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inbox = in
	return in
}

func (s *slotOf) dial(_ context.Context, _ string, peer uint64) (net.Conn, []uint64, error) {
	theirs, ours := pair(s.t)
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.inbox
	s.streams = append(s.streams, ours)
	s.wg.Go(func() { in.Serve(ours, "web/0", 7, peer) })
	return theirs, in.Lines(), nil
}

// cut ends all streams at once, as a kill would.
func (s *slotOf) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.streams {
		_ = c.Close()
	}
	s.streams = nil
}

func pair(t testing.TB) (a, b net.Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	conns := make([]net.Conn, 2)
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		if conns[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	return conns[0], conns[1]
}

func number(i int) []byte { return fmt.Append(nil, i) }

// send sends numbers and tells what came of each.
func (s *slotOf) send(ctx context.Context, from, to int) <-chan error {
	ended := make(chan error, to-from)
	s.wg.Go(func() {
		for i := from; i < to; i++ {
			ended <- s.out.Send(ctx, "jobs/0", number(i))
		}
	})
	return ended
}

func receive(t *testing.T, in *Inbox) *Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	m, err := in.Receive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestHandledOnce: streams are cut again and again, and answers with them. Each
// message is handled once, in order.
func TestHandledOnce(t *testing.T) {
	s := newSlot(t)
	const most = 2000
	ended := s.send(t.Context(), 0, most)
	for i := range most {
		m := receive(t, s.inbox)
		if string(m.Data) != string(number(i)) || m.Redelivered {
			t.Fatalf("message %q where %d belongs, redelivered=%v", m.Data, i, m.Redelivered)
		}
		if i%10 == 0 {
			s.cut() // while it is in hand: its answer goes on the next stream
		}
		m.Done()
		if i%7 == 0 {
			s.cut() // the answer may be lost
		}
	}
	for range most {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
}

// TestSuccessor: the marks go to the next receiver, and what is queued is sent to it.
func TestSuccessor(t *testing.T) {
	s := newSlot(t)
	const all = 500
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			if err := s.out.Send(t.Context(), "jobs/0", number(i)); err != nil {
				t.Error(err)
			}
		})
	}
	seen := make(map[string]bool)
	for i := range all {
		in := s.inbox
		m := receive(t, in)
		if seen[string(m.Data)] || m.Redelivered {
			t.Fatalf("message %s: seen %v, redelivered %v", m.Data, seen[string(m.Data)], m.Redelivered)
		}
		seen[string(m.Data)] = true
		m.Done()
		if i%25 == 0 {
			marks := in.Marks()
			s.become(uint64(i + 2)).Inherit(marks)
			in.LetGo()
		}
	}
	wg.Wait()
}

// TestKilled: a receiver that was killed may have handled what it has not answered,
// and its successor tells so. One that has let go has not.
func TestKilled(t *testing.T) {
	s := newSlot(t)
	ended := s.send(t.Context(), 0, 1)
	receive(t, s.inbox)
	s.become(2)
	s.cut()
	m := receive(t, s.inbox)
	if !m.Redelivered {
		t.Error("it is not told that the message may have been handled")
	}
	m.Done()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestTakenBack: a successor that was killed has handled a message, and the worker
// before goes on with the marks that it had.
func TestTakenBack(t *testing.T) {
	s := newSlot(t)
	before := s.inbox
	s.become(2).Inherit(before.Marks())
	before.LetGo()
	ended := s.send(t.Context(), 0, 1)
	receive(t, s.inbox)
	before.Resume()
	s.mu.Lock()
	s.inbox = before
	s.mu.Unlock()
	s.cut()
	m := receive(t, before)
	if !m.Redelivered {
		t.Error("it is not told that the message may have been handled")
	}
	m.Done()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestRefused: the sender learns why, also when the answer was lost, and the next
// message is handled.
func TestRefused(t *testing.T) {
	for _, lost := range []bool{false, true} {
		t.Run(fmt.Sprintf("answer lost %v", lost), func(t *testing.T) {
			s := newSlot(t)
			ended := s.send(t.Context(), 0, 2)
			m := receive(t, s.inbox)
			if lost {
				s.cut()
			}
			m.Fail(&control.Error{Code: "full", Message: "the disk is full"})
			if err := <-ended; err == nil || err.Error() != "message to jobs/0: refused: the disk is full" {
				t.Errorf("got %v", err)
			}
			receive(t, s.inbox).Done()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRetry: a message that is put back comes before the others of its sender.
func TestRetry(t *testing.T) {
	s := newSlot(t)
	ctx := t.Context()
	first := s.send(ctx, 0, 1)
	m := receive(t, s.inbox)
	s.send(ctx, 1, 2)
	m.Retry(time.Millisecond)
	for want := range 2 {
		m := receive(t, s.inbox)
		if string(m.Data) != string(number(want)) {
			t.Errorf("message %q where %d belongs", m.Data, want)
		}
		m.Done()
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
}

// TestBounded: what waits for a receiver is bounded, and so is the time in which
// Send waits for room.
func TestBounded(t *testing.T) {
	s := newSlot(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	var wg sync.WaitGroup
	errs := make([]error, MaxMessages+10)
	for i := range errs {
		wg.Go(func() { errs[i] = s.out.Send(ctx, "jobs/0", number(i)) })
	}
	m := receive(t, s.inbox) // and nobody handles it
	if err := harness.Poll(t.Context(), func() bool { return s.out.InFlight() == MaxMessages }); err != nil {
		t.Fatal(err)
	}
	over := errors.New("over")
	cancel(over)
	wg.Wait()
	for _, err := range errs {
		if !errors.Is(err, over) {
			t.Error(err)
		}
	}
	if n := s.out.InFlight(); n != 0 {
		t.Errorf("%d messages in flight", n)
	}
	m.Done()
	if err := s.out.Send(t.Context(), "jobs/0", make([]byte, MaxData+1)); err == nil {
		t.Error("a message that is too large was sent")
	}
}

// TestNoWorker: a slot that is gone is told to all that wait for it.
func TestNoWorker(t *testing.T) {
	s := newSlot(t)
	s.out.Dial = func(context.Context, string, uint64) (net.Conn, []uint64, error) {
		return nil, nil, control.ErrNoWorker
	}
	if err := s.out.Send(t.Context(), "jobs/9", nil); !errors.Is(err, control.ErrNoWorker) {
		t.Error(err)
	}
}

// TestForget: of more senders than are remembered the one that has not come for
// longest is forgotten.
func TestForget(t *testing.T) {
	in := NewInbox(1)
	var marks Marks
	for i := range maxSenders {
		marks.Senders = append(marks.Senders, mark{ID: id{Incarnation: uint64(i)}, Mark: 1})
	}
	in.Inherit(marks)
	in.senders[id{Incarnation: 5}].looked = 0
	for n, s := range in.senders {
		s.looked = n.Incarnation + 10
	}
	in.senders[id{Incarnation: 5}].looked = 1
	st := &inStream{in: in, wake: make(chan struct{}, 1)}
	if !in.begin(st, "web/0", id{Incarnation: maxSenders}) {
		t.Fatal("there is no room")
	}
	if in.senders[id{Incarnation: 5}] != nil || len(in.senders) != maxSenders {
		t.Errorf("%d senders, the oldest among them: %v", len(in.senders), in.senders[id{Incarnation: 5}] != nil)
	}
}

// FuzzReadFrame: foreign bytes are frames that are written alike, or an error.
func FuzzReadFrame(f *testing.F) {
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	_ = errors.Join(writeFrame(w, message, 3, []byte("x")), writeFrame(w, handled, 3, nil), w.Flush())
	f.Add(b.Bytes())
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 'm'})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bufio.NewReader(bytes.NewReader(data))
		var again bytes.Buffer
		w := bufio.NewWriter(&again)
		for {
			f, err := readFrame(r)
			if err != nil {
				break
			}
			_ = f.err()
			if err := errors.Join(writeFrame(w, f.kind, f.seq, f.data), w.Flush()); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.HasPrefix(data, again.Bytes()) {
			t.Errorf("%x is written as %x", data, again.Bytes())
		}
	})
}

func TestMarksAreCopied(t *testing.T) {
	in := NewInbox(1)
	in.Inherit(Marks{Lines: []uint64{4, 3}})
	if got := in.Lines(); !slices.Equal(got, []uint64{1, 4, 3}) {
		t.Errorf("lines %v", got)
	}
}
