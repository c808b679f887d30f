package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

// link is a worker's lasting conversation with whichever primary there is. The
// primary may be replaced, by itself (exec) or after it was killed; to the
// worker both look alike: the conversation ends, and a new hello restates the
// whole truth.
type link struct {
	mu   sync.Mutex // a leaf: it guards the pointer, not the conversation
	conn *ipc.Conn  // nil while there is no primary
	lost time.Time  // since when
	over bool       // the worker ends: nobody closes a conversation that is new now
}

var errNoPrimary = errors.New("no primary")

func (l *link) set(c *ipc.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn, l.lost = c, time.Time{}
	if c == nil {
		l.lost = time.Now()
	} else if l.over {
		_ = c.Close() // who listens to it hears the end
	}
}

// since is when the last primary was lost; zero while there is one.
func (l *link) since() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

func (l *link) current() *ipc.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn
}

// send gives the primary a message. Without a primary it is lost: what must
// not be lost is in the next hello.
func (l *link) send(kind string, body any, fds ...int) error {
	if c := l.current(); c != nil {
		return c.Send(ipc.SendTimeout, kind, body, fds...)
	}
	return errNoPrimary
}

// close ends the conversation, and one that is just being opened.
func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	if l.conn != nil {
		_ = l.conn.Close() // it may have ended already
	}
}

// The pauses between two attempts to reach a primary, with jitter: hundreds of
// workers lose theirs in the same instant.
const (
	firstPause = time.Millisecond
	lastPause  = 50 * time.Millisecond
)

// attend keeps the conversation for as long as the worker lives.
func (w *Worker) attend() {
	for {
		w.listenTo(w.link.current())
		w.link.set(nil)
		if w.ended.Err() != nil {
			return
		}
		stop := w.orphaned()
		err := w.rejoin()
		stop()
		if err != nil {
			return
		}
	}
}

// orphaned begins what the pool's policy says of a worker without a primary;
// the function that it returns calls it off.
func (w *Worker) orphaned() (stop func()) {
	switch w.boot.Orphan {
	case control.OrphanExit:
		w.startDrain(withoutPrimary)
	case control.OrphanDrain:
		t := time.AfterFunc(w.boot.OrphanAfter, func() { w.startDrain(withoutPrimary) })
		return func() { t.Stop() }
	}
	return func() {}
}

// rejoin says hello to the next primary, however long it takes to come.
func (w *Worker) rejoin() error {
	pause := firstPause
	for {
		h := w.truth()
		c, err := w.greet(w.ended, h)
		if err == nil {
			w.link.set(c)
			w.addTo(h)
			return nil
		}
		if errors.Is(err, control.ErrDenied) {
			w.startDrain(withoutPrimary) // it knows nothing of us: our slot is another's
			return err
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-w.ended.Done():
			return err
		}
		pause = min(2*pause, lastPause)
	}
}

// truth is all that a primary has to know of the worker.
func (w *Worker) truth() ipc.Hello {
	h := w.hello()
	h.Purpose, h.Kept = ipc.PurposeControl, w.sockets.count()
	h.Ready, h.Leaving, h.Draining, h.Closed = w.isReady.Load(), w.leaving.Load(), w.soft.Err() != nil, w.closed.Load()
	return h
}

// addTo says what has become true since the hello: while the greeting was
// under way nothing could be said.
func (w *Worker) addTo(h ipc.Hello) {
	now := w.truth()
	for kind, news := range map[string]bool{
		ipc.TypeReady: now.Ready && !h.Ready, ipc.TypeLeaving: now.Leaving && !h.Leaving, ipc.TypeClosed: now.Closed && !h.Closed,
	} {
		if news {
			_ = w.link.send(kind, nil) // without a primary the next hello tells
		}
	}
}

// greet opens a conversation and restates the truth.
func (w *Worker) greet(ctx context.Context, h ipc.Hello) (*ipc.Conn, error) {
	conn, welcome, err := ipc.Open(ctx, w.dial, h)
	if err != nil {
		return nil, err
	}
	conn.Trust(true)
	if welcome.Sockets {
		err = w.sockets.giveBack(conn)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func (w *Worker) hello() ipc.Hello {
	return ipc.Hello{Worker: w.ID(), Generation: w.boot.Generation, Incarnation: w.boot.Incarnation, Secret: w.boot.Secret}
}

// listenTo does what the primary asks until the conversation ends.
func (w *Worker) listenTo(conn *ipc.Conn) {
	defer conn.Close()
	for {
		m, err := conn.Receive(0)
		if err != nil {
			return
		}
		w.obey(&m)
		m.Discard()
	}
}

func (w *Worker) obey(m *ipc.Message) {
	switch m.Type {
	case ipc.TypeDrain:
		var d ipc.Drain
		if m.Decode(&d) == nil {
			w.askedToDrain(d, pairOf(m))
		}
	case ipc.TypeLegacy:
		if c := pairOf(m); c != nil {
			w.wg.Go(func() { w.inherit(c) })
		}
	case ipc.TypeInvite:
		var i ipc.Invite
		if m.Decode(&i) == nil {
			w.wg.Go(func() { w.take(i) })
		}
	case ipc.TypeSession:
		w.takeLocal(m)
	case ipc.TypeSockets:
		w.sockets.add(m)
	}
}
