package adminport

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/commandline"
)

// Why we end a session. Its user reads the text.
var (
	errStopping = errors.New("the shell worker is stopping")
	errRevoked  = errors.New("you may no longer be logged in")
	errIdle     = errors.New("closed: idle")
	errStalled  = errors.New("stalled reader")
)

const outdated = "commands changed: log in again to use them"

// sessionKey finds the session in the context of its commands, for those of
// this package.
type sessionKey struct{}

// session is one conversation: an ssh channel, a TLS connection or a local call.
//
//	login ──► greeting ──► a line ──► run: audited, runs, audited ──► a line …
//	                          │           │
//	                          │           └─ Ctrl-C: cancelled; again: not waited for
//	                          ▼
//	gone: the client hung up          ──► the command is cancelled, its job goes on
//	life ends: idle, revoked, dismissed ─► its user reads why
//	the shell worker is replaced      ──► goes on here until it ends
//	the shell worker stops            ──► commands are told, then it ends
type session struct {
	srv  *Server
	id   string
	via  string // ssh, tls, ctl
	from string
	who  identity
	conn *conn // nil: of a local call

	moves bool // a person's terminal that moves its cursor

	began time.Time
	runs  atomic.Pointer[string] // the running command, quoted; nil: none

	// gone ends when the client hangs up; its cause is why.
	gone context.Context
	// interrupts has a value for each Ctrl-C; may be nil.
	interrupts <-chan struct{}
	// life ends when we end the session; its cause is why.
	life context.Context
	end  context.CancelCauseFunc

	// outdated has a value when a newer process of the admin port has other
	// commands.
	outdated chan struct{}

	lastRole   commands.Role
	left       atomic.Bool // exit was typed
	dropped    atomic.Bool // it is on record that we ended it
	completing atomic.Bool // a completion is under way
}

func (s *Server) newSession(c *conn, via, from string, who identity, gone context.Context, interrupts <-chan struct{}) *session {
	var id [4]byte
	rand.Read(id[:]) // never fails (crypto/rand)
	sess := &session{
		srv: s, id: hex.EncodeToString(id[:]), via: via, from: from, who: who, conn: c,
		gone: gone, interrupts: interrupts, began: time.Now(), outdated: make(chan struct{}, 1),
	}
	sess.life, sess.end = context.WithCancelCause(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[sess] = struct{}{}
	if s.outdated {
		poke(sess.outdated)
	}
	if s.stopping {
		sess.end(errStopping)
	}
	return sess
}

func (s *session) close() {
	s.srv.mu.Lock()
	delete(s.srv.sessions, s)
	poke(s.srv.empty)
	s.srv.mu.Unlock()
	s.end(nil)
}

func (s *session) over() bool { return s.life.Err() != nil || s.gone.Err() != nil }

func (s *session) stopping() bool { return context.Cause(s.life) == errStopping }

func (s *session) sayWhy(w io.Writer) {
	if s.life.Err() != nil && s.gone.Err() == nil {
		fmt.Fprintf(w, "%v\n", context.Cause(s.life))
	}
}

func (s *session) sayOutdated(w io.Writer) {
	select {
	case <-s.outdated:
		fmt.Fprintln(w, outdated)
	default:
	}
}

// drop records once that we ended the session: two limits may be reached at the
// same time.
func (s *session) drop(why error) {
	if s.dropped.Swap(true) {
		return
	}
	r := s.record(audit.EventDropped)
	r.Reason = why.Error()
	_ = s.srv.gate.audit(r) // the session ends either way
}

func (s *session) local() bool { return s.via == viaLocal }

// role is what the user may do now; ok is false if the session has to end.
func (s *session) role() (role commands.Role, ok bool) {
	if s.local() {
		return commands.Admin, true
	}
	return s.srv.gate.role(s.who)
}

// commands are those that the user may run now.
func (s *session) commands() *commandline.Registry {
	if s.local() {
		return s.srv.registry
	}
	user, ok := s.srv.gate.lookup(s.who.name)
	if !ok {
		user.Deny = []string{"*"} // removed since the role was looked up
	}
	return s.srv.registry.Limit(commandline.ParseLimits(user.Allow, user.Deny))
}

func (s *session) prompt() string { return s.who.name + "@" + s.srv.host.Name + "> " }

// output writes to the client: a write that takes longer than StallTimeout ends
// the connection. Closing the channel would not free the writer.
func (s *session) output(w io.Writer, c *conn) io.Writer {
	return &output{w: w, limit: s.srv.cfg.StallTimeout, stalled: func() {
		s.drop(errStalled)
		c.end(errStalled)
	}}
}

type output struct {
	w       io.Writer
	limit   time.Duration
	stalled func()
}

func (o *output) Write(p []byte) (int, error) {
	watchdog := time.AfterFunc(o.limit, o.stalled)
	defer watchdog.Stop()
	return o.w.Write(p)
}

func (s *session) record(e audit.Event) audit.Record {
	return audit.Record{
		Event: e, Via: s.via, Session: s.id, User: audit.Quote(s.who.name),
		Key: s.who.key, From: s.from, Asked: s.who.asked,
	}
}
