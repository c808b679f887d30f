package shell

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
)

// Why a session is ended by us. The text is what its user reads.
var (
	errStopping = errors.New("the shell worker is stopping")
	errRevoked  = errors.New("you may not be logged in any more")
	errIdle     = errors.New("closed: idle")
	errStalled  = errors.New("stalled reader")
)

// sessionKey finds the session in the context of its commands, for those of
// this package.
type sessionKey struct{}

// session is one conversation: an ssh channel, a TLS connection or a local
// call.
type session struct {
	srv  *Server
	id   string
	via  string // ssh, tls, ctl
	from string
	who  identity
	conn *conn // nil: of a local call

	began time.Time
	runs  atomic.Pointer[string] // the command that runs, quoted; nil: none

	// gone ends when the client hangs up; its cause is why.
	gone context.Context
	// interrupts has a word for each Ctrl-C; may be nil.
	interrupts <-chan struct{}
	// life ends when we end the session; its cause is why.
	life context.Context
	end  context.CancelCauseFunc

	left       atomic.Bool // exit was typed
	completing atomic.Bool // somebody is looking for words
}

func (s *Server) newSession(c *conn, via, from string, who identity, gone context.Context, interrupts <-chan struct{}) *session {
	var id [4]byte
	rand.Read(id[:]) // never fails (crypto/rand)
	sess := &session{
		srv: s, id: hex.EncodeToString(id[:]), via: via, from: from, who: who, conn: c,
		gone: gone, interrupts: interrupts, began: time.Now(),
	}
	sess.life, sess.end = context.WithCancelCause(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[sess] = struct{}{}
	if s.stopping {
		sess.end(errStopping)
	}
	return sess
}

// close is called when a session has ended, however that came.
func (s *session) close() {
	s.srv.mu.Lock()
	delete(s.srv.sessions, s)
	poke(s.srv.empty)
	s.srv.mu.Unlock()
	s.end(nil)
}

// over reports whether the session is to end.
func (s *session) over() bool { return s.life.Err() != nil || s.gone.Err() != nil }

// stopping reports whether the session ends because the shell worker does.
func (s *session) stopping() bool { return context.Cause(s.life) == errStopping }

// sayWhy tells the user why we end the session, if we do.
func (s *session) sayWhy(w io.Writer) {
	if s.life.Err() != nil && s.gone.Err() == nil {
		fmt.Fprintf(w, "%v\n", context.Cause(s.life))
	}
}

// drop records that the session was ended by us.
func (s *session) drop(why error) {
	r := s.record(audit.EventDropped)
	r.Reason = why.Error()
	_ = s.srv.audit(r) // the session ends either way
}

// local reports whether the kernel vouches for the caller.
func (s *session) local() bool { return s.via == viaLocal }

// role is what the user may do now; ok is false when he may not be here any
// more.
func (s *session) role() (role commands.Role, ok bool) {
	if s.local() {
		return commands.Admin, true
	}
	user, ok := s.srv.still(s.who)
	if !ok {
		return commands.NoRole, false
	}
	role, err := commands.ParseRole(user.Role)
	return role, err == nil
}

// commands are those that there are for the user now, within his limits.
func (s *session) commands() *commands.Registry {
	if s.local() {
		return s.srv.registry
	}
	user, ok := s.srv.lookup(s.who.name)
	if !ok {
		user.Deny = []string{"*"} // gone since the role was looked up
	}
	return s.srv.registry.Limit(commands.ParseLimits(user.Allow, user.Deny))
}

func (s *session) prompt() string { return s.who.name + "@" + s.srv.host.Name + "> " }

// output is the way to the client: a write that takes longer than
// StallTimeout ends the connection. Closing the channel would not free the
// writer.
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

func (s *session) record(e Event) Record {
	return Record{
		Event: e, Via: s.via, Session: s.id, User: audit.Quote(s.who.name),
		Key: s.who.key, From: s.from, Asked: s.who.asked,
	}
}
