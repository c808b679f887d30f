package primary

import (
	"cmp"
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"net"
	"os/user"
	"strconv"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

// accept serves the connections of one socket. Each is a conversation with a
// goroutine of its own: it ends with requests, and is cut with ctx.
func (p *Primary) accept(ctx, requests context.Context, ln *net.UnixListener, a *admission, greet func(context.Context, *ipc.Conn) error) {
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
		leave, err := a.admit(c, conn)
		if err != nil {
			refuse(conn, err)
			continue
		}
		p.talks.Go(func() {
			defer leave()
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			if err := greet(requests, conn); err != nil {
				_ = conn.Send(ipc.HelloTimeout, ipc.TypeRefused, ipc.FailureOf(err))
			}
		})
	}
}

// refuse closes a connection that finds no place. It does not wait, because
// nothing was sent on it before.
func refuse(conn *ipc.Conn, why error) {
	if !errors.Is(why, control.ErrDenied) {
		_ = conn.Send(ipc.HelloTimeout, ipc.TypeRefused, ipc.FailureOf(why))
	}
	_ = conn.Close()
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

// errRefused gives no reason, which a peer without the secret needs not know.
var errRefused = &control.Error{Code: control.ErrDenied.Code, Message: "hello refused"}

// known is a worker whose hello was proved.
type known struct {
	slot    *slot
	inc     uint64
	pool    control.PoolSpec
	sockets bool // it is to give the pool's sockets back
	keeps   bool // it holds the descriptors of other pools
}

// greetWorker holds a conversation on worker.sock: a process proves by its secret
// that the primary started it, and as what.
func (p *Primary) greetWorker(ctx context.Context, conn *ipc.Conn) error {
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
	conn.Trust(k.sockets || k.keeps) // what programs have stored
	if err := p.welcome(conn, k.sockets); err != nil {
		return nil // it has gone
	}
	switch h.Purpose {
	case ipc.PurposeControl:
		return p.hold(ctx, conn, k, h)
	case ipc.PurposeRequest:
		return p.answer(ctx, conn, k)
	case ipc.PurposeTake:
		p.calls.take(conn, h.Token, h.Incarnation)
		return nil
	case ipc.PurposeBroker:
		return p.serveBroker(ctx, conn, k)
	case ipc.PurposeMail:
		return p.passMail(ctx, conn, k)
	}
	return fmt.Errorf("%w: purpose %q", control.ErrUsage, h.Purpose)
}

// known finds the process of a hello. One that has been reaped is refused, even
// with its secret; one of an earlier primary is taken over.
func (l *loop) known(h ipc.Hello, conn *ipc.Conn) (known, error) {
	for _, s := range l.slots() {
		if r := s.processes[h.Incarnation]; r != nil && s.id() == h.Worker && !r.gone {
			return s.pool.known(s, h, r), nil
		}
	}
	cred, err := conn.Peer()
	if err != nil || h.Purpose != ipc.PurposeControl {
		return known{}, errRefused
	}
	return l.unrecorded(h, int(cred.Pid))
}

// known is a proved process, with the addresses of its generation.
func (p *pool) known(s *slot, h ipc.Hello, r *process) known {
	spec := p.spec
	spec.Listen = p.listenOf(r.gen)
	return known{s, h.Incarnation, spec, p.wantsSockets(h, r), len(p.keeps) > 0}
}

// givers is how many survivors are asked for the same sockets: the first may die
// of it, and hundreds would not find room here. With two generations in a reload,
// and one survivor that has more sockets, they are maxGivers.
const (
	givers    = 4
	maxGivers = 2*givers + 1
)

// wantsSockets reports whether this worker is to give back the pool's sockets. An
// earlier primary may have been killed while it handed out new ones, so a worker
// with more than came back is asked, too: a socket of the group that stays
// unknown would get connections that nobody accepts.
func (p *pool) wantsSockets(h ipc.Hello, r *process) bool {
	if len(p.keeps) > 0 {
		return p.wantsKept(h)
	}
	g, addrs := p.adoption, p.listenOf(r.gen)
	if g == nil || len(addrs) == 0 || h.Purpose != ipc.PurposeControl || h.Draining || h.Closed {
		return false
	}
	t, back := g.tallies[r.gen], p.sockets(addrs)
	if h.Kept <= max(t.most, back) && (back > 0 || t.asked >= givers) {
		return false
	}
	if g.tallies == nil {
		g.tallies = make(map[int]tally)
	}
	g.tallies[r.gen] = tally{t.asked + 1, max(t.most, h.Kept)}
	return true
}

// allow checks the right of a pool's workers. A pool without control speaks in
// its own name, whatever user it claims.
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
func (p *Primary) greetLocal(ctx context.Context, conn *ipc.Conn) error {
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
	m, err := conn.Receive(ipc.HelloTimeout)
	if err != nil {
		return nil // the caller hung up
	}
	if m.Type == ipc.TypeAttach {
		return p.attach(ctx, conn, m, p.cfg.Spec.Admin, func(ipc.Attach) string { return who })
	}
	return p.carryOut(ctx, conn, m, 0, func(r *ipc.Request) error { r.User = who; return nil })
}

// localUser names a local caller as the kernel knows it.
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
		return nil // the peer hung up
	}
	if m.Type == ipc.TypeAttach && k.pool.Grant == control.GrantControl {
		return p.attach(ctx, conn, m, p.cfg.Spec.Agent, func(a ipc.Attach) string { return a.User })
	}
	return p.carryOut(ctx, conn, m, k.inc, k.allow)
}

func (p *Primary) carryOut(ctx context.Context, conn *ipc.Conn, m ipc.Message, worker uint64, allow func(*ipc.Request) error) error {
	var r ipc.Request
	if m.Type != ipc.TypeRequest {
		return fmt.Errorf("%w: %s where a request belongs", control.ErrUsage, m.Type)
	}
	if err := m.Decode(&r); err != nil {
		return err
	}
	server := ipc.Server{As: func(user string) control.Control { return caller{p, user, worker} }}
	_ = server.Answer(ctx, conn, r, allow)
	p.post((*loop).putOffTrim)
	return nil
}

// attach hands the conversation of a caller to a worker of a built-in pool, which
// runs commands: those of the application, or of a file. From then on the primary
// has no part in it.
func (p *Primary) attach(ctx context.Context, conn *ipc.Conn, m ipc.Message, pool string, who func(ipc.Attach) string) error {
	var a ipc.Attach
	if err := m.Decode(&a); err != nil {
		return err
	}
	return p.pass(ctx, conn, ipc.TypeSession, ipc.Session{User: who(a), Args: a.Args}, func(l *loop) (*conversation, error) {
		c := l.server(pool)
		if c == nil {
			return nil, &control.Error{Code: control.ErrUnavailable.Code, Message: fmt.Sprintf("no %s worker runs: only the built-in commands are there", cmp.Or(pool, "shell")), Hint: "status"}
		}
		return c, nil
	})
}

// pass gives a conversation itself to a worker.
func (p *Primary) pass(ctx context.Context, conn *ipc.Conn, kind string, body any, to func(*loop) (*conversation, error)) error {
	f, err := conn.File()
	if err != nil {
		return err
	}
	_, err = ask(ctx, p, func(l *loop) (struct{}, error) {
		c, err := to(l)
		fd := -1
		if err == nil {
			fd, err = inherit.RawFD(f)
		}
		if err == nil && !c.pass(outgoing{kind: kind, body: body, fds: []int{fd}, free: f.Close}) {
			err = control.ErrUnavailable
		}
		if err != nil {
			err = errors.Join(err, f.Close())
		}
		return struct{}{}, err
	})
	return err // f may be on its way all the same, if ctx has ended: it is not closed here
}

// server is the conversation of a worker that serves in a pool; nil: there is none.
func (l *loop) server(pool string) *conversation {
	p, err := l.pool(pool)
	if err != nil {
		return nil
	}
	for _, s := range p.slots {
		if r := s.processes[s.cur.inc]; s.serving(s.cur) && r.conv != nil {
			return r.conv
		}
	}
	return nil
}
