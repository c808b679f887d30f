package primary

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"strconv"
	"sync"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

const (
	// maxGreetings is how many connections of one user whom we know may be in
	// their greeting at once; further ones wait.
	maxGreetings = 128
	// maxStrangers is the same for all users whom we do not know; further ones
	// are closed.
	maxStrangers = 16
)

// accept takes in connections of one socket. Each is a conversation with a
// goroutine of its own.
func (p *Primary) accept(ctx context.Context, ln *net.UnixListener, greet func(context.Context, *ipc.Conn, func()) error) {
	d := newDoor(p.known(), p.ended)
	for {
		c, err := ln.AcceptUnix()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // no descriptors left: what we hold may be freed meanwhile
			select {
			case <-p.ended:
				return
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		conn := ipc.NewConn(c)
		known, ok := d.enter(conn)
		if !ok {
			_ = conn.Close() // there are too many of its kind
			continue
		}
		p.talks.Go(func() {
			defer known()
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			if err := greet(ctx, conn, known); err != nil {
				_ = conn.Send(ipc.HelloTimeout, ipc.TypeRefused, ipc.FailureOf(err)) // it may have gone
			}
		})
	}
}

// known are the users whose processes have business here: root, the cluster's
// own, and those of pools.
func (p *Primary) known() []uint32 {
	users := []uint32{0, uint32(os.Geteuid())}
	for _, pool := range p.cfg.Spec.Pools {
		if pool.RunAs != nil {
			users = append(users, pool.RunAs.UID)
		}
	}
	return users
}

// door bounds the greetings of each user, so that nobody who has no business
// here, or who misbehaves, can keep out those who have.
type door struct {
	known     map[uint32]chan struct{}
	strangers chan struct{}
	closed    <-chan struct{}
}

func newDoor(known []uint32, closed <-chan struct{}) door {
	d := door{make(map[uint32]chan struct{}), make(chan struct{}, maxStrangers), closed}
	for _, uid := range known {
		d.known[uid] = make(chan struct{}, maxGreetings)
	}
	return d
}

// enter takes a place; it is given back by the function that it returns.
func (d door) enter(conn *ipc.Conn) (leave func(), ok bool) {
	cred, err := conn.Peer()
	if err != nil {
		return d.stranger()
	}
	places := d.known[cred.Uid]
	if places == nil {
		return d.stranger()
	}
	leave = sync.OnceFunc(func() { <-places })
	select { // a free place is given even at the end: whoever asked for it asks how it went
	case places <- struct{}{}:
		return leave, true
	default:
	}
	select {
	case places <- struct{}{}:
		return leave, true
	case <-d.closed:
		return nil, false
	}
}

func (d door) stranger() (leave func(), ok bool) {
	select {
	case d.strangers <- struct{}{}:
		return sync.OnceFunc(func() { <-d.strangers }), true
	default:
		return nil, false
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

func (p *Primary) welcome(conn *ipc.Conn, sockets bool) error {
	return conn.Send(ipc.HelloTimeout, ipc.TypeWelcome, ipc.Welcome{Protocol: ipc.Version, Name: p.cfg.Spec.Name, PID: p.cfg.PID, Sockets: sockets})
}

// errRefused tells nothing: whoever has no secret needs no reason.
var errRefused = &control.Error{Code: control.ErrDenied.Code, Message: "hello refused"}

// known is a worker whose hello was proved.
type known struct {
	seat    *seat
	inc     uint64
	pool    control.PoolSpec
	sockets bool // it shall give the pool's sockets back
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
	k, err := ask(ctx, p, func(l *loop) (known, error) { return l.known(h, conn) })
	if err != nil {
		return err
	}
	conn.Trust(k.sockets)
	if err := p.welcome(conn, k.sockets); err != nil {
		return nil // it has gone
	}
	greeted()
	switch h.Purpose {
	case ipc.PurposeControl:
		return p.hold(ctx, conn, k, h)
	case ipc.PurposeRequest:
		return p.answer(ctx, conn, k)
	case ipc.PurposeTake:
		p.calls.take(conn, h.Token, h.Incarnation)
		return nil
	case ipc.PurposeCustody:
		return p.custody(ctx, conn, k)
	}
	return fmt.Errorf("%w: purpose %q", control.ErrUsage, h.Purpose)
}

// known finds the process of a hello: one that has been reaped is refused, even
// with its secret. One of an earlier primary is taken over.
func (l *loop) known(h ipc.Hello, conn *ipc.Conn) (known, error) {
	for _, p := range l.pools {
		for _, s := range p.seats {
			if r := s.runs[h.Incarnation]; r != nil && s.id() == h.Worker && !r.gone {
				return known{s, h.Incarnation, p.spec, p.wantsSockets(h, r)}, nil
			}
		}
	}
	cred, err := conn.Peer()
	if err != nil || h.Purpose != ipc.PurposeControl {
		return known{}, errRefused
	}
	k, err := l.stray(h, int(cred.Pid))
	if err == nil {
		k.sockets = k.seat.pool.wantsSockets(h, k.seat.runs[k.inc])
	}
	return k, err
}

// givers is how many survivors are asked for the same sockets: the first may
// die of it, and hundreds would not find room for them here.
const givers = 4

// wantsSockets tells whether this worker is to give back the pool's sockets. An
// earlier primary may have been killed while it handed out new ones, so one who
// has more than came back is asked, too: a socket of the group that stays
// unknown would get connections that nobody accepts.
func (p *pool) wantsSockets(h ipc.Hello, r *run) bool {
	g := p.gathering
	if g == nil || len(p.spec.Listen) == 0 || h.Purpose != ipc.PurposeControl || h.Draining || h.Closed {
		return false
	}
	t, groups := &g.tally, p.groups
	if r.former {
		t, groups = &g.formerTally, g.former.groups
	}
	if h.Kept <= t.most && (len(groups) > 0 || t.asked >= givers) {
		return false
	}
	t.asked, t.most = t.asked+1, max(t.most, h.Kept)
	return true
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
	if err := p.welcome(conn, false); err != nil {
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
	return p.carryOut(ctx, conn, m, p.server, func(r *ipc.Request) error { r.User = who; return nil })
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

// answer reads the request of a worker and carries it out.
func (p *Primary) answer(ctx context.Context, conn *ipc.Conn, k known) error {
	m, err := conn.Receive(ipc.HelloTimeout)
	if err != nil {
		return nil // it changed its mind
	}
	server := p.server.With(func(user string) control.Control { return as{p, user, k.inc} })
	return p.carryOut(ctx, conn, m, server, k.allow)
}

func (p *Primary) carryOut(ctx context.Context, conn *ipc.Conn, m ipc.Message, server *ipc.Server, allow func(*ipc.Request) error) error {
	var r ipc.Request
	if m.Type != ipc.TypeRequest {
		return fmt.Errorf("%w: %s where a request belongs", control.ErrUsage, m.Type)
	}
	if err := m.Decode(&r); err != nil {
		return err
	}
	_ = server.Answer(ctx, conn, r, allow) // the peer has gone: nobody to tell
	p.post((*loop).stir)
	return nil
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
		fd, err := inherit.RawFD(f)
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
