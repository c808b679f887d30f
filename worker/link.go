package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/shellworker"
)

// link is a worker's lasting conversation with the present primary. The primary
// may replace itself (exec) or be killed and started again. The worker cannot
// tell: the conversation ends, and the next hello reports all that earlier ones
// have said.
type link struct {
	mu   sync.Mutex // a leaf: it guards the pointer, not the conversation
	conn *ipc.Conn  // nil while there is no primary
	lost time.Time  // since when
	over bool       // the worker ends: a new conversation is closed
}

var errNoPrimary = errors.New("no primary")

func (l *link) set(c *ipc.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn, l.lost = c, time.Time{}
	if c == nil {
		l.lost = time.Now()
	} else if l.over {
		_ = c.Close() // its listener sees the end
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

// send sends the primary a message. Without a primary it is lost, so the next
// hello repeats what must not be lost.
func (l *link) send(kind string, body any, fds ...int) error {
	if c := l.current(); c != nil {
		return c.Send(ipc.SendTimeout, kind, body, fds...)
	}
	return errNoPrimary
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	if l.conn != nil {
		_ = l.conn.Close() // it may have ended already
	}
}

// The pauses between two attempts to reach a primary, with jitter, because
// hundreds of workers lose theirs at the same time.
const (
	firstPause = time.Millisecond
	lastPause  = 50 * time.Millisecond
)

// keepLinked keeps the conversation as long as the worker lives.
func (w *Worker) keepLinked() {
	for {
		w.listenTo(w.link.current())
		w.link.set(nil)
		if w.living.Err() != nil {
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

// orphaned begins what the pool's policy says of a worker without a primary; the
// returned function calls it off.
func (w *Worker) orphaned() (stop func()) {
	switch w.boot.Orphan {
	case control.OrphanExit:
		w.drainAsOrphan()
	case control.OrphanDrain:
		t := time.AfterFunc(w.boot.OrphanAfter, w.drainAsOrphan)
		return func() { t.Stop() }
	}
	return func() {}
}

// rejoin says hello to the next primary, however long that takes to come.
func (w *Worker) rejoin() error {
	pause := firstPause
	for {
		h := w.report()
		c, err := w.greet(w.living, h)
		if err == nil {
			w.link.set(c)
			w.reportSince(h)
			return nil
		}
		if errors.Is(err, control.ErrDenied) {
			w.drainAsOrphan() // it does not know us: our slot belongs to another process
			return err
		}
		w.sockets.ear.take()
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-w.living.Done():
			return err
		}
		pause = min(2*pause, lastPause)
	}
}

func (w *Worker) report() ipc.Hello {
	h := w.hello()
	h.Purpose, h.Kept, h.Prepared = ipc.PurposeControl, w.sockets.count(), w.modules.waiting.Load()
	h.Config = w.config.digest()
	h.Ready, h.Leaving, h.Draining, h.Closed = w.isReady.Load(), w.isLeaving.Load(), w.serving.Err() != nil, w.isClosed.Load()
	return h
}

// reportSince says what has changed while the hello was under way.
func (w *Worker) reportSince(h ipc.Hello) {
	now := w.report()
	for kind, news := range map[string]bool{
		ipc.TypeReady: now.Ready && !h.Ready, ipc.TypeLeaving: now.Leaving && !h.Leaving, ipc.TypeClosed: now.Closed && !h.Closed,
		ipc.TypePrepared: now.Prepared && !h.Prepared,
	} {
		if news {
			_ = w.link.send(kind, nil) // without a primary the next hello tells
		}
	}
}

// greet opens a conversation.
func (w *Worker) greet(ctx context.Context, h ipc.Hello) (*ipc.Conn, error) {
	conn, welcome, err := ipc.Open(ctx, w.dial, h)
	if err != nil {
		return nil, err
	}
	conn.Trust(true)
	if h.Purpose == ipc.PurposeControl {
		err = w.sockets.ear.tell(conn)
	}
	if err == nil && welcome.Sockets {
		err = w.sockets.giveBack(conn)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
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
			w.askedToDrain(d, conversation(m))
		}
	case ipc.TypeHandover:
		if c := conversation(m); c != nil {
			w.wg.Go(func() { w.connections.TakeOver(c) })
		}
	case ipc.TypeInherit:
		if !m.Short() {
			w.introduced(conversation(m))
		}
	case ipc.TypeYield:
		if c := conversation(m); c != nil {
			w.wg.Go(func() { w.yield(c) })
		}
	case ipc.TypeMail:
		var from ipc.Mail
		if m.Decode(&from) != nil {
			return
		}
		if c := conversation(m); c != nil {
			w.wg.Go(func() { w.receiveMail(c, from) })
		}
	case ipc.TypeInvite:
		var i ipc.Invite
		if m.Decode(&i) == nil {
			w.wg.Go(func() { w.answer(i) })
		}
	case ipc.TypeConfig:
		var c ipc.Config
		if m.Decode(&c) == nil {
			w.toldConfig(c.Data)
		}
	case ipc.TypeAccept:
		var a ipc.Accept
		if m.Decode(&a) == nil && w.serving.Err() == nil {
			w.sockets.acceptOn(w.connections.Listener(a.Listener), a.Listener, a.Slots)
		}
	case ipc.TypeSession:
		var s ipc.Session
		if m.Decode(&s) != nil {
			return
		}
		if c := conversation(m); c != nil {
			w.wg.Go(func() { shellworker.Serve(w.serving, w.working, w.calls, c, s) })
		}
	case ipc.TypeUpstreams:
		var u ipc.Upstreams
		if m.Decode(&u) != nil {
			return
		}
		select {
		case w.upstreams <- u:
		case <-w.living.Done():
		}
	case ipc.TypeSockets:
		w.sockets.add(m)
		if c := w.link.current(); c != nil { // a new socket of the primary: what came to the one before since the hello
			_ = w.sockets.ear.pass(c) // what is left is told to the next one
		}
	}
}

// conversation is the one whose descriptor came with a message; nil if there is
// none: then the message and its descriptors are discarded.
func conversation(m *ipc.Message) *ipc.Conn {
	if m.FDs != 1 {
		return nil
	}
	f := os.NewFile(uintptr(m.Files()[0]), "conversation")
	defer f.Close() // FileConn has a copy
	nc, err := net.FileConn(f)
	if err != nil {
		return nil
	}
	uc, ok := nc.(*net.UnixConn)
	if !ok {
		_ = nc.Close()
		return nil
	}
	c := ipc.NewConn(uc)
	c.Trust(true)
	return c
}
