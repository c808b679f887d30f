package primary

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"net"
	"os/user"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

const (
	// maxStrangers is how many connections may be in their greeting at once.
	maxStrangers = 128
	// maxQueued is how many messages wait for one worker before it is given up.
	maxQueued = 64
)

// accept takes in connections of one socket. Each is a conversation with a
// goroutine of its own.
func (p *Primary) accept(ctx context.Context, ln *net.UnixListener, greet func(context.Context, *ipc.Conn, func()) error) {
	strangers := make(chan struct{}, maxStrangers)
	for {
		c, err := ln.AcceptUnix()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // no descriptors left: what we hold may be freed meanwhile
			select {
			case <-ctx.Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		strangers <- struct{}{}
		known := sync.OnceFunc(func() { <-strangers })
		p.talks.Go(func() {
			defer known()
			conn := ipc.NewConn(c)
			defer conn.Close()
			if err := greet(ctx, conn, known); err != nil {
				_ = conn.Send(ipc.HelloTimeout, ipc.TypeRefused, ipc.FailureOf(err)) // it may have gone
			}
		})
	}
}

// hello reads the first message of a conversation.
func hello(conn *ipc.Conn) (ipc.Hello, error) {
	var h ipc.Hello
	m, err := conn.Receive(ipc.HelloTimeout)
	if err != nil {
		return h, err
	}
	defer m.Discard()
	if m.Type != ipc.TypeHello {
		return h, fmt.Errorf("%w: a conversation begins with hello", control.ErrUsage)
	}
	if err := m.Decode(&h); err != nil {
		return h, err
	}
	if h.Protocol != ipc.Version {
		return h, &control.Error{Code: control.ErrUsage.Code, Message: fmt.Sprintf("protocol %d, this primary speaks %d", h.Protocol, ipc.Version)}
	}
	return h, nil
}

func (p *Primary) welcome(conn *ipc.Conn) error {
	return conn.Send(ipc.HelloTimeout, ipc.TypeWelcome, ipc.Welcome{Protocol: ipc.Version, Name: p.cfg.Spec.Name, PID: p.cfg.PID})
}

// errRefused tells nothing: whoever has no secret needs no reason.
var errRefused = &control.Error{Code: control.ErrDenied.Code, Message: "hello refused"}

// known is a worker whose hello was proved.
type known struct {
	seat *seat
	inc  uint64
	pool control.PoolSpec
}

// greetWorker holds a conversation on worker.sock: a process proves by its
// secret that the primary started it, and as what.
func (p *Primary) greetWorker(ctx context.Context, conn *ipc.Conn, greeted func()) error {
	h, err := hello(conn)
	if err != nil {
		return err
	}
	if !hmac.Equal(h.Secret, secret(p.key, h.Worker, h.Generation, h.Incarnation)) {
		return errRefused
	}
	k, err := ask(ctx, p, func(l *loop) (known, error) { return l.known(h) })
	if err != nil {
		return err
	}
	conn.Trust(false)
	if err := p.welcome(conn); err != nil {
		return nil // it has gone
	}
	greeted()
	switch h.Purpose {
	case ipc.PurposeControl:
		return p.hold(ctx, conn, k)
	case ipc.PurposeRequest:
		return p.answer(ctx, conn, func(r *ipc.Request) error { return k.allow(r) })
	case ipc.PurposeTake:
		p.calls.take(conn, h.Token, workerOf(h))
		return nil
	}
	return fmt.Errorf("%w: purpose %q", control.ErrUsage, h.Purpose)
}

func workerOf(h ipc.Hello) string { return h.Worker }

// known finds the process of a hello: one that has been reaped is refused, even
// with its secret.
func (l *loop) known(h ipc.Hello) (known, error) {
	for _, p := range l.pools {
		for _, s := range p.seats {
			if s.runs[h.Incarnation] != nil && s.id() == h.Worker {
				return known{s, h.Incarnation, p.spec}, nil
			}
		}
	}
	return known{}, errRefused
}

// allow is the right of a pool's workers. A pool without control speaks in its
// own name, whatever user it claims.
func (k known) allow(r *ipc.Request) error {
	if k.pool.Grant == control.GrantControl {
		if r.User == "" {
			r.User = "worker " + k.pool.Name
		}
		return nil
	}
	r.User = "worker " + k.pool.Name
	if k.pool.Grant == control.GrantReload {
		return ipc.OwnPoolOnly(k.pool.Name, *r)
	}
	return &control.Error{Code: control.ErrDenied.Code, Message: fmt.Sprintf("pool %s has no grant for %s", k.pool.Name, r.Method)}
}

// greetLocal holds a conversation on ctl.sock, whose mode lets in only root and
// the cluster's own user.
func (p *Primary) greetLocal(ctx context.Context, conn *ipc.Conn, greeted func()) error {
	if _, err := hello(conn); err != nil {
		return err
	}
	who, err := localUser(conn)
	if err != nil {
		return err
	}
	conn.Trust(false)
	if err := p.welcome(conn); err != nil {
		return nil // it has gone
	}
	greeted()
	m, err := conn.Receive(ipc.HelloTimeout)
	if err != nil {
		return nil // it changed its mind
	}
	if m.Type == ipc.TypeAttach {
		return p.attach(ctx, conn, m, who)
	}
	return p.carryOut(ctx, conn, m, func(r *ipc.Request) error { r.User = who; return nil })
}

// localUser names a local caller by what the kernel says of it.
func localUser(conn *ipc.Conn) (string, error) {
	cred, err := conn.Peer()
	if err != nil {
		return "", err
	}
	uid := strconv.Itoa(int(cred.Uid))
	name := "uid " + uid
	if uid == "0" {
		name = "root"
	} else if u, err := user.LookupId(uid); err == nil {
		name = u.Username
	}
	return fmt.Sprintf("%s (ctl, uid %s, pid %d)", name, uid, cred.Pid), nil
}

// answer reads the request of a conversation and carries it out.
func (p *Primary) answer(ctx context.Context, conn *ipc.Conn, allow func(*ipc.Request) error) error {
	m, err := conn.Receive(ipc.HelloTimeout)
	if err != nil {
		return nil // it changed its mind
	}
	return p.carryOut(ctx, conn, m, allow)
}

func (p *Primary) carryOut(ctx context.Context, conn *ipc.Conn, m ipc.Message, allow func(*ipc.Request) error) error {
	var r ipc.Request
	if m.Type != ipc.TypeRequest {
		return fmt.Errorf("%w: %s where a request belongs", control.ErrUsage, m.Type)
	}
	if err := m.Decode(&r); err != nil {
		return err
	}
	_ = p.server.Answer(ctx, conn, r, allow) // the peer has gone: nobody to tell
	return nil
}

// conversation is the lasting one of a worker. Messages to it are queued, so
// that a worker that does not read never holds up the loop.
type conversation struct {
	conn  *ipc.Conn
	queue chan outgoing
	done  chan struct{}
	once  sync.Once
}

type outgoing struct {
	kind string
	body any
	fds  []int        // sent and then closed
	free func() error // closes them
}

func newConversation(conn *ipc.Conn) *conversation {
	return &conversation{conn: conn, queue: make(chan outgoing, maxQueued), done: make(chan struct{})}
}

// send queues a message; false when the worker has not read for long.
func (c *conversation) send(kind string, body any) bool {
	return c.pass(outgoing{kind: kind, body: body})
}

func (c *conversation) pass(m outgoing) bool {
	select {
	case <-c.done:
		return false
	default:
	}
	select {
	case c.queue <- m:
		return true
	default:
		c.close()
		return false
	}
}

func (c *conversation) close() {
	c.once.Do(func() {
		close(c.done)
		_ = c.conn.Close()
	})
}

// write sends what is queued.
func (c *conversation) write() {
	for {
		select {
		case <-c.done:
			return
		case m := <-c.queue:
			err := c.conn.Send(ipc.SendTimeout, m.kind, m.body, m.fds...)
			if m.free != nil {
				_ = m.free() // only a copy of a descriptor
			}
			if err != nil {
				c.close()
				return
			}
		}
	}
}

// hold keeps a worker's control conversation until either side ends it.
func (p *Primary) hold(ctx context.Context, conn *ipc.Conn, k known) error {
	c := newConversation(conn)
	defer context.AfterFunc(ctx, c.close)()
	peer := 0
	if cred, err := conn.Peer(); err == nil {
		peer = int(cred.Pid)
	}
	if _, err := ask(ctx, p, func(l *loop) (struct{}, error) { return struct{}{}, l.joined(k, c, peer) }); err != nil {
		return err
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(c.write)
	defer c.close()
	for {
		m, err := conn.Receive(0)
		if err != nil {
			return nil // its exit, or its next hello, tells
		}
		if e := workerSaid(k, m); e != nil {
			p.post(e)
		}
	}
}

// joined takes in a worker's control conversation.
func (l *loop) joined(k known, c *conversation, peer int) error {
	r := k.seat.runs[k.inc]
	if r == nil || (r.process != nil && r.pid() != peer) {
		return errRefused
	}
	if r.conv != nil {
		r.conv.close()
	}
	r.conv, r.peer = c, peer
	if place, _ := k.seat.find(k.inc); place.ending == told {
		l.drain(k.seat, action{inc: k.inc})
	}
	return nil
}

// workerSaid is what a worker's message means to the loop.
func workerSaid(k known, m ipc.Message) event {
	switch m.Type {
	case ipc.TypeReady:
		return k.event(func(l *loop, _ *run) { l.becameReady(k.seat, k.inc) })
	case ipc.TypeBeat:
		var b ipc.Beat
		if m.Decode(&b) != nil {
			return nil
		}
		return k.event(func(_ *loop, r *run) { r.beat, r.heard, r.silent = b, time.Now(), false })
	case ipc.TypeLeaving:
		return k.event(func(_ *loop, r *run) { r.leaving = true })
	case ipc.TypeClosed:
		return k.event(func(_ *loop, r *run) { r.closed = true })
	case ipc.TypeDrained:
		var d ipc.Drained
		if m.Decode(&d) != nil {
			return nil
		}
		return k.event(func(_ *loop, r *run) { r.drained = &d })
	}
	return nil // of a newer worker: not for us
}

// event is f for as long as the process has not been reaped.
func (k known) event(f func(*loop, *run)) event {
	return func(l *loop) {
		if r := k.seat.runs[k.inc]; r != nil {
			f(l, r)
		}
	}
}

// attach hands the conversation of a local caller to a shell worker, which
// runs the application's own commands. From then on the primary has no part in it.
func (p *Primary) attach(ctx context.Context, conn *ipc.Conn, m ipc.Message, who string) error {
	var a ipc.Attach
	if err := m.Decode(&a); err != nil {
		return err
	}
	f, err := conn.File()
	if err != nil {
		return err
	}
	_, err = ask(ctx, p, func(l *loop) (struct{}, error) {
		c := l.shell()
		if c == nil {
			return struct{}{}, &control.Error{Code: control.ErrUnavailable.Code, Message: "no shell worker runs: only the built-in commands are there", Hint: "status"}
		}
		fd, err := rawFD(f)
		if err != nil {
			return struct{}{}, err
		}
		if !c.pass(outgoing{kind: ipc.TypeSession, body: ipc.Session{User: who, Args: a.Args}, fds: []int{fd}, free: f.Close}) {
			return struct{}{}, control.ErrUnavailable
		}
		return struct{}{}, nil
	})
	if err != nil {
		return errors.Join(err, f.Close())
	}
	return nil
}

// shell is the conversation of the worker that serves the admin port.
func (l *loop) shell() *conversation {
	p, err := l.pool(l.cfg.Spec.Admin)
	if err != nil {
		return nil
	}
	for _, s := range p.seats {
		if r := s.runs[s.cur.inc]; s.serving(s.cur) && r.conv != nil {
			return r.conv
		}
	}
	return nil
}

// quoted shows control characters of a worker's line as text.
func quoted(text string) string {
	clean := func(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 }
	if !strings.ContainsFunc(text, clean) {
		return text
	}
	q := strconv.QuoteToASCII(text)
	return q[1 : len(q)-1]
}
