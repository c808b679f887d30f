package shell

import (
	"context"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/audit"
)

const (
	// lastOutput is how long a command runs on when the shell worker is told
	// to stop, before it is told, too.
	lastOutput = 250 * time.Millisecond
	// patience is how long a cancelled command may take when nobody waits for
	// it any more.
	patience = 5 * time.Second
	// maxAbandoned is how many commands may run on without a session.
	maxAbandoned = 16
)

// request is one line or one list of words to run.
type request struct {
	line     string
	args     []string // not nil: in the place of line
	mode     commands.Mode
	out, err io.Writer
	ask      func(ctx context.Context, prompt string) (string, error)
	width    int
	height   int
	live     bool // the terminal moves its cursor
	colour   bool // and shows colours
	prefix   string
	mark     func(kind, value string) string // for our own client; may be nil
	// interrupted is called for each Ctrl-C; may be nil.
	interrupted func()
}

// run runs one command to its end, or until its user stops waiting, and
// returns its exit status.
func (s *session) run(q request) int {
	role, ok := s.role()
	if !ok {
		s.end(errRevoked)
		return commands.StatusDenied
	}
	if q.mode == commands.Interactive {
		s.forgetInterrupts()
	}
	ctx, cancel := context.WithCancelCause(context.WithValue(context.Background(), sessionKey{}, s))
	g := &gate{out: q.out, err: q.err, ask: q.ask}
	q.out, q.err = gated{g, q.out}, gated{g, q.err}
	if q.ask != nil {
		q.ask = g.question
	}
	done := make(chan int, 1)
	s.srv.active.Add(1)
	s.srv.running.Go(func() {
		defer s.srv.active.Add(-1)
		defer cancel(nil)
		done <- s.invoke(ctx, q, role)
		if !g.close() { // the user turned away
			s.srv.abandoned.Add(-1)
		}
	})
	return s.wait(q, cancel, done, g)
}

// forgetInterrupts drops a Ctrl-C from before: it is not for the next command.
func (s *session) forgetInterrupts() {
	for {
		select {
		case <-s.interrupts:
		default:
			return
		}
	}
}

// wait waits for a command and passes on what happens meanwhile.
func (s *session) wait(q request, cancel context.CancelCauseFunc, done <-chan int, g *gate) int {
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
				_, _ = io.WriteString(g.err, "it goes on in the background; see: job list\n")
				return commands.StatusCancelled
			}
		case <-gone:
			gone, enough = nil, time.After(patience)
			cancel(context.Cause(s.gone))
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

// grace is how long a command may go on after its session was ended by us.
func (s *session) grace() time.Duration {
	if context.Cause(s.life) == errStopping {
		return lastOutput
	}
	return 0
}

// hangup is what a command is told when its session was ended by us.
func (s *session) hangup() error {
	if context.Cause(s.life) == errStopping {
		return commands.ErrShellEnds
	}
	return commands.ErrHangup
}

// abandon turns away from a command that does not end, if it may be one more.
func (s *session) abandon(g *gate) bool {
	if s.srv.abandoned.Add(1) > maxAbandoned || !g.close() {
		s.srv.abandoned.Add(-1)
		return false
	}
	return true
}

// invoke runs the command and writes what the audit log wants to know.
func (s *session) invoke(ctx context.Context, q request, role commands.Role) int {
	r := run{session: s, began: time.Now(), role: role, err: q.err}
	status := s.commands().Run(ctx, commands.Invocation{
		Line: q.line, Args: q.args, User: s.who.name, Role: role,
		Control: s.srv.host.Control(s.who.name),
		Out:     q.out, Err: q.err, Mode: q.mode, Prefix: q.prefix, Mark: q.mark,
		Screen: commands.Screen{Width: q.width, Height: q.height, Live: q.live, Colour: q.colour},
		Ask:    q.ask, Before: r.before, Denied: r.denied, Panicked: r.panicked,
	})
	s.runs.Store(nil)
	r.end(status, q)
	return status
}

// run is one command on its way through the audit log.
type run struct {
	session *session
	began   time.Time
	role    commands.Role
	err     io.Writer
	argv    []string
	known   bool // it is a command
	refused bool // that the role may not run
}

func (r *run) record(e Event) Record {
	rec := r.session.record(e)
	rec.Role, rec.Argv = r.role.String(), r.argv
	return rec
}

// before writes the start of a command. What only an admin may do is not done
// without a record, except by root on the machine, who could as well kill us.
func (r *run) before(_ string, args []string) error {
	r.argv, r.known = r.session.srv.registry.Redact(args), true
	line := audit.Quote(strings.Join(r.argv, " "))
	r.session.runs.Store(&line)
	err := r.session.srv.audit(r.record(audit.EventStart))
	if err == nil {
		return nil
	}
	command, _ := r.session.srv.registry.Lookup(args)
	if command == nil || command.Role < commands.Admin {
		return nil
	}
	if r.session.local() {
		_, _ = io.WriteString(r.err, "warning: the audit log cannot be written\n")
		return nil
	}
	return &commands.Error{
		Status: commands.StatusFailed, Code: "no_audit",
		Message: "the audit log cannot be written, so admin commands are refused",
		Hint:    "norestart ctl on the machine",
	}
}

func (r *run) denied(_ string, args []string) {
	r.argv, r.known, r.refused = r.session.srv.registry.Redact(args), true, true
	status := commands.StatusDenied
	rec := r.record(audit.EventDenied)
	rec.Status = &status
	_ = r.session.srv.audit(rec) // nothing is done either way
}

func (r *run) panicked(name string, value any, stack []byte) {
	r.session.srv.logf("command %s of %s: panic: %v\n%s", name, audit.Quote(r.session.who.name), value, stack)
}

// end writes how a command ended, or what was no command at all.
func (r *run) end(status int, q request) {
	rec := r.record(audit.EventEnd)
	switch {
	case !r.known && status == commands.StatusOK: // an empty line
		return
	case !r.known:
		rec.Event, rec.Line = audit.EventInvalid, r.session.typed(q)
	case r.refused:
		return
	}
	took := time.Since(r.began).Seconds()
	rec.Status, rec.Duration = &status, &took
	_ = r.session.srv.audit(rec) // it is done
}

// typed is a line that was no command, as the audit log may have it.
func (s *session) typed(q request) string {
	line := q.line
	if q.args != nil {
		line = strings.Join(q.args, " ")
	}
	if s.srv.registry.Secret(line) {
		line = "[a secret command that cannot be parsed]"
	}
	if len(line) > audit.MaxText {
		line = line[:audit.MaxText]
	}
	return strconv.QuoteToASCII(line)
}

// gate stands between a command and its user. It is closed once, by whoever
// is first: the command that has ended, or the user who turns away.
type gate struct {
	out, err io.Writer
	ask      func(ctx context.Context, prompt string) (string, error)
	closed   atomic.Bool
}

// close reports whether it was this call that closed the gate.
func (g *gate) close() bool { return g.closed.CompareAndSwap(false, true) }

func (g *gate) question(ctx context.Context, prompt string) (string, error) {
	if g.closed.Load() {
		return "", os.ErrClosed
	}
	return g.ask(ctx, prompt)
}

// gated is one of the outputs behind a gate.
type gated struct {
	gate *gate
	w    io.Writer
}

func (g gated) Write(p []byte) (int, error) {
	if g.gate.closed.Load() {
		return 0, os.ErrClosed
	}
	return g.w.Write(p)
}
