package adminport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/commandline"
)

const (
	// lastOutput is how long a command runs on before it is told that the shell
	// worker stops.
	lastOutput = 250 * time.Millisecond
	// patience bounds a cancelled command whose session no longer waits for it.
	patience = 5 * time.Second
	// maxAbandoned bounds the commands that run on without a session.
	maxAbandoned = 16
)

type request struct {
	line     string
	args     []string // not nil: instead of line
	mode     commands.Mode
	out, err io.Writer
	ask      func(ctx context.Context, prompt string) (string, error)
	width    int
	height   int
	live     bool // the terminal moves its cursor
	colour   bool // and shows colours
	prefix   string
	mark     func(kind, value string) string // for our own client; may be nil
	// keyboard takes the terminal from the editor; nil: there is none.
	keyboard func() (commandline.Keyboard, error)
	// interrupted is called for each Ctrl-C; may be nil.
	interrupted func()
}

// run runs one command to its end, or until its user stops waiting, and returns
// its exit status.
func (s *session) run(q request) int {
	role, ok := s.role()
	if !ok {
		s.end(s.srv.gate.revoked(s.who))
		return commands.StatusDenied
	}
	if s.lastRole != commands.NoRole && s.lastRole != role {
		fmt.Fprintf(q.err, "note: your role is now %s, it was %s\n", role, s.lastRole)
	}
	s.lastRole = role
	if q.mode == commands.Interactive {
		s.forgetInterrupts()
	}
	ctx, cancel := context.WithCancelCause(context.WithValue(context.Background(), sessionKey{}, s))
	g := &attachment{out: q.out, err: q.err, ask: q.ask}
	q.out, q.err = attached{g, q.out}, attached{g, q.err}
	if q.ask != nil {
		q.ask = g.question
	}
	if s.conn != nil {
		defer s.conn.admission.occupy()()
	}
	done := make(chan int, 1)
	s.srv.active.Add(1)
	s.srv.running.Go(func() {
		defer s.srv.active.Add(-1)
		defer cancel(nil)
		s.invoke(ctx, q, role, func(status int) {
			done <- status
			if !g.close() {
				s.srv.abandoned.Add(-1)
			}
		})
	})
	return s.wait(q, cancel, done, g)
}

// forgetInterrupts drops an earlier Ctrl-C, which is not for the next command.
func (s *session) forgetInterrupts() {
	for {
		select {
		case <-s.interrupts:
		default:
			return
		}
	}
}

// wait waits for a command and passes on interrupts and the end of the session.
func (s *session) wait(q request, cancel context.CancelCauseFunc, done <-chan int, g *attachment) int {
	gone, ended := s.gone.Done(), s.life.Done()
	var grace, enough <-chan time.Time
	for interrupts := 0; ; {
		select {
		case status := <-done:
			return status
		case <-s.interrupts:
			cancel(context.Canceled)
			if q.interrupted != nil {
				q.interrupted()
			}
			if interrupts++; interrupts > 1 && s.abandon(g) {
				_, _ = io.WriteString(g.err, "the command goes on in the background; see: job list\n")
				return commands.StatusCancelled
			}
		case <-gone:
			gone, enough = nil, time.After(patience)
			cancel(s.whyGone())
		case <-ended:
			ended, grace = nil, time.After(s.grace())
		case <-grace:
			enough = time.After(patience)
			cancel(s.hangup())
		case <-enough:
			if s.abandon(g) {
				return commands.StatusCancelled
			}
			enough = time.After(patience)
		}
	}
}

// whyGone tells a Ctrl-C from a client that has hung up.
func (s *session) whyGone() error {
	if context.Cause(s.gone) == context.Canceled {
		return context.Canceled
	}
	return commandline.ErrHangup
}

// grace is how long a command may go on after we ended its session.
func (s *session) grace() time.Duration {
	if s.stopping() {
		return lastOutput
	}
	return 0
}

// hangup is what a command is told when we ended its session.
func (s *session) hangup() error {
	if s.stopping() {
		return commandline.ErrShellEnds
	}
	return commandline.ErrHangup
}

// abandon stops waiting for a command that does not end, unless too many run on
// already.
func (s *session) abandon(g *attachment) bool {
	if s.srv.abandoned.Add(1) > maxAbandoned || !g.close() {
		s.srv.abandoned.Add(-1)
		return false
	}
	return true
}

func (s *session) invoke(ctx context.Context, q request, role commands.Role, ended func(status int)) {
	r := run{session: s, began: time.Now(), role: role, err: q.err}
	s.commands().RunHere(ctx, commandline.Invocation{
		Line: q.line, Args: q.args, User: s.who.name, Role: role,
		Control: s.srv.host.Control(s.who.name),
		Out:     q.out, Err: q.err, Mode: q.mode, Prefix: q.prefix, Mark: q.mark,
		Screen: commandline.Screen{Width: q.width, Height: q.height, Live: q.live, Colour: q.colour},
		Audit:  s.srv.host.ReadAudit,
		Ask:    q.ask, Keyboard: q.keyboard, Before: r.before, Denied: r.denied, Panicked: r.panicked,
	}, func(status int) {
		s.runs.Store(nil)
		r.end(status, q)
		ended(status)
	})
}

// run is one command and its records in the audit log.
type run struct {
	session *session
	began   time.Time
	role    commands.Role
	err     io.Writer
	argv    []string
	name    string // of the command
	needs   string
	known   bool // it is a command
	refused bool // the role may not run it
	counted bool // its start was only counted
}

func (r *run) record(e audit.Event) audit.Record {
	rec := r.session.record(e)
	rec.Role, rec.Needs, rec.Argv = r.role.String(), r.needs, r.argv
	return rec
}

func (r *run) take(args []string) *commands.Command {
	r.argv, r.known = r.session.srv.registry.Redact(args), true
	command, _ := r.session.srv.registry.Lookup(args)
	if command != nil {
		r.name, r.needs = command.Name, command.Role.String()
	}
	return command
}

// before writes the start of a command. What only an admin may do needs a record,
// except for root on the machine, who could kill us anyway.
func (r *run) before(_ string, args []string) error {
	command := r.take(args)
	line := audit.Quote(strings.Join(r.argv, " "))
	r.session.runs.Store(&line)
	err := r.session.srv.gate.auditAs(r.name, r.record(audit.EventStart))
	if r.counted = errors.Is(err, errCounted); r.counted || err == nil {
		return nil
	}
	if command == nil || command.Role < commands.Admin {
		return nil
	}
	if r.session.local() {
		_, _ = io.WriteString(r.err, "warning: the audit log cannot be written\n")
		return nil
	}
	return &commands.Error{
		Code:    "no_audit",
		Message: "the audit log cannot be written, so admin commands are refused",
		Hint:    "norestart ctl on the machine",
	}
}

func (r *run) denied(_ string, args []string) {
	r.take(args)
	r.refused = true
	status := commands.StatusDenied
	rec := r.record(audit.EventDenied)
	rec.Status = &status
	_ = r.session.srv.gate.auditAs("denied "+r.name, rec) // nothing is done either way
}

func (r *run) panicked(name string, value any, stack []byte) {
	r.session.srv.host.Log("command %s of %s: panic: %v\n%s", name, audit.Quote(r.session.who.name), value, stack)
}

func (r *run) end(status int, q request) {
	rec := r.record(audit.EventEnd)
	switch {
	case !r.known && status == commands.StatusOK: // an empty line
		return
	case !r.known:
		rec.Event, rec.Line = audit.EventInvalid, r.session.typed(q)
	case r.refused, r.counted:
		return
	}
	took := time.Since(r.began).Seconds()
	rec.Status, rec.Duration = &status, &took
	_ = r.session.srv.gate.audit(rec) // it is done
}

// typed is a line without a command, as the audit log may have it.
func (s *session) typed(q request) string {
	line := q.line
	if q.args != nil {
		line = strings.Join(q.args, " ")
	}
	if s.srv.registry.Secret(line) {
		line = "[a secret command that cannot be parsed]"
	}
	return audit.QuoteCut(line)
}

// attachment stands between a command and its user. It is closed once: when the
// command has ended, or the user stopped waiting.
type attachment struct {
	out, err io.Writer
	ask      func(ctx context.Context, prompt string) (string, error)
	closed   atomic.Bool
}

func (g *attachment) close() bool { return g.closed.CompareAndSwap(false, true) }

func (g *attachment) question(ctx context.Context, prompt string) (string, error) {
	if g.closed.Load() {
		return "", os.ErrClosed
	}
	return g.ask(ctx, prompt)
}

type attached struct {
	to *attachment
	w  io.Writer
}

func (g attached) Write(p []byte) (int, error) {
	if g.to.closed.Load() {
		return 0, os.ErrClosed
	}
	return g.w.Write(p)
}
