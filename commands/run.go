package commands

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/norestart/norestart/control"
)

// Invocation is one line of one user.
type Invocation struct {
	Line    string   // what was typed, to be parsed …
	Args    []string // … or, where it came in words, those; not nil: Line is not looked at
	User    string
	Role    Role
	Control control.Control // in the name of User
	Out     io.Writer       // nil: io.Discard; may be written to while Err is
	Err     io.Writer       // nil: io.Discard
	Mode    Mode
	Screen  Screen // in Interactive mode
	Prefix  string // before "error:", as in "line 3: "

	// Mark returns what tells our own client, between what it shows, that the
	// output is at a place, to go on behind it when the connection was lost: kind
	// is "place" or "job". Nil: nobody wants to know.
	Mark func(kind, value string) string

	// Ask shows a prompt and returns the next line of input without its line
	// break, io.EOF when there is no more. Nil: nobody can be asked.
	Ask func(ctx context.Context, prompt string) (string, error)

	// Before is called when it is settled that the command name may run, with
	// all words as they were typed, its name among them; an error refuses it.
	// This is the place of the audit log. May be nil.
	Before func(name string, args []string) error
	// Denied is called in the place of Before when the role or the limits do not
	// suffice.
	// May be nil.
	Denied func(name string, args []string)
	// Panicked is called with what a command panicked with and its stack; value
	// is nil if it ended its goroutine with runtime.Goexit. May be nil.
	Panicked func(name string, value any, stack []byte)
}

// Run runs one line to its end and returns its exit status: one of the
// constants Status…, or what the command's own [*Error] says; never 255. A line
// without words is done at once. Every failure has
// been told on in.Err: a line "error: …" and, where there is advice, a line
// "hint: …"; with --json an object {"version":1,"error":{code,message,hint}}.
// Who is cancelled by his own wish is told nothing.
//
// The command runs on a goroutine that has ended when Run returns. Run may be
// called from any number of goroutines.
func (r *Registry) Run(ctx context.Context, in Invocation) int {
	in.Out, in.Err = orDiscard(in.Out), orDiscard(in.Err)
	if in.Mode != Interactive {
		in.Screen = Screen{}
	}
	line, err := in.parse()
	json := false
	if err == nil {
		_, json, _ = takeGlobal(line.words)
		err = r.filtered(ctx, in, line)
	}
	if err == nil {
		return StatusOK
	}
	f := failure(ctx, err)
	if f.Status == StatusUsage || f.Status == StatusUnknown {
		f.Hint = cmp.Or(typographic(in.Line), f.Hint)
	}
	in.tell(f, line, json)
	return f.Status
}

// filtered runs a line with its filters. Behind a filter there are neither
// colours nor a width: what it looks for is the text.
func (r *Registry) filtered(ctx context.Context, in Invocation, line parsed) error {
	if len(line.filters) == 0 {
		return r.run(ctx, in, line.words)
	}
	p := chain(line.filters, in.Out)
	in.Out, in.Screen = p, Screen{}
	err := r.run(ctx, in, line.words)
	return cmp.Or(err, p.end(err == nil))
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

func (in Invocation) parse() (parsed, error) {
	if in.Args == nil {
		return parse(in.Line)
	}
	for _, word := range in.Args {
		if err := checkText(word); err != nil {
			return parsed{}, fmt.Errorf("word %q: %w", clip(word, maxGuess), err)
		}
	}
	return parsed{words: in.Args}, nil
}

func (r *Registry) run(ctx context.Context, in Invocation, words []string) error {
	if len(words) == 0 {
		return nil
	}
	command, args := r.Lookup(words)
	if command == nil && in.Mode == Interactive {
		var err error
		if words, err = r.expand(words, in.Role); err != nil {
			return err
		}
		command, args = r.Lookup(words)
	}
	if command == nil {
		return r.strange(in, words)
	}
	if !in.Role.may(command.Role) {
		if in.Denied != nil {
			in.Denied(command.Name, words)
		}
		return denied(command, in.Role)
	}
	args, json, help := takeGlobal(args)
	if err := r.limits.check(command, args, help); err != nil {
		if isDenied(err) && in.Denied != nil {
			in.Denied(command.Name, words)
		}
		return err
	}
	if in.Before != nil {
		if err := in.Before(command.Name, words); err != nil {
			return fmt.Errorf("%s: %w", command.Name, err)
		}
	}
	out := &output{w: in.Out}
	call := in.call(ctx, out, json)
	call.registry, call.Args = r, append([]string{command.Name}, args...)
	if help {
		return cmp.Or(call.helpOn([]*Command{command}), out.failure())
	}
	return cmp.Or(in.runCommand(ctx, command, call), out.failure())
}

func (in Invocation) call(ctx context.Context, out io.Writer, json bool) *Call {
	call := &Call{
		User: in.User, Role: in.Role, Primary: in.Control, Out: out, Err: in.Err,
		JSON: json, Mode: in.Mode, Width: in.Screen.Width, screen: in.Screen, ask: in.Ask, ctx: ctx, place: in.Mark,
	}
	if p, ok := in.Out.(*pipeline); ok {
		call.enough = p.full
		call.place = nil // a filter looks at lines as people see them
	}
	return call
}

// strange answers words that name no command: "worker ?" and "worker --help"
// ask for help.
func (r *Registry) strange(in Invocation, words []string) error {
	bare, json, help := takeGlobal(words)
	if len(bare) == 0 {
		return r.unknown(words, in.Role)
	}
	help = help && len(bare) == 1 || len(bare) == 2 && bare[1] == "?"
	if family := r.family(bare[0], in.Role); help && len(family) > 0 {
		return in.call(context.Background(), in.Out, json).helpFamily(family)
	}
	return r.unknown(bare, in.Role)
}

func isDenied(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status == StatusDenied
}

func denied(c *Command, role Role) *Error {
	return &Error{
		Status: StatusDenied, Code: control.ErrDenied.Code,
		Message: fmt.Sprintf("denied: %s needs role %s, you are %s", c.Name, c.Role, role),
	}
}

// runCommand runs c on a goroutine of its own, so that neither a panic nor
// runtime.Goexit in it ends more than the command. What an error has to say is
// taken there, too: its methods are the application's code.
func (in Invocation) runCommand(ctx context.Context, c *Command, call *Call) error {
	return in.guarded(c.Name, func() error { return call.run(ctx, c) })
}

// guarded runs what is the application's on a goroutine of its own.
func (in Invocation) guarded(name string, run func() error) error {
	done := make(chan error, 1)
	go func() {
		returned := false
		defer func() {
			if returned {
				return
			}
			value := recover()
			if in.Panicked != nil {
				in.Panicked(name, value, debug.Stack())
			}
			done <- &Error{Code: control.ErrInternal.Code, Message: name + ": internal error; the log has the details"}
		}()
		err := run()
		returned = true
		done <- err
	}()
	return <-done
}

func (c *Call) run(ctx context.Context, command *Command) error {
	if command.Flags != nil {
		if err := c.parseFlags(command.Flags); err != nil {
			err := failure(ctx, err)
			err.Hint = "help " + command.Name
			return err
		}
	}
	err := command.Run(ctx, c)
	if err == nil {
		return nil
	}
	f := failure(ctx, err)
	if f.Status == StatusUsage && f.Hint == "" {
		f.Hint = "help " + command.Name
	}
	return f
}

// tell writes e for a person or a program, in one piece.
func (in Invocation) tell(e *Error, line parsed, json bool) {
	if json {
		_, _ = in.Err.Write(e.json())
		return
	}
	if e.quiet {
		return
	}
	var b strings.Builder
	if at := in.caret(e, line); at != "" {
		b.WriteString(at)
	} else {
		fmt.Fprintf(&b, "%serror: %s\n", in.Prefix, Safe(e.Message))
	}
	for _, line := range e.Lines {
		fmt.Fprintf(&b, "  %s\n", Safe(line))
	}
	if e.Hint != "" {
		fmt.Fprintf(&b, "hint: %s\n", Safe(e.Hint))
	}
	_, _ = io.WriteString(in.Err, b.String())
}

func (e *Error) json() []byte {
	type view struct {
		Code    string   `json:"code"`
		Message string   `json:"message"`
		Hint    string   `json:"hint"`
		Lines   []string `json:"lines,omitempty"`
		Details any      `json:"details,omitempty"`
	}
	v := map[string]view{"error": {e.Code, e.Message, e.Hint, slices.Clone(e.Lines), e.Details}}
	text, err := versioned(v)
	if err != nil { // the details are the application's and may be anything
		v["error"] = view{e.Code, e.Message, e.Hint, e.Lines, nil}
		text, _ = versioned(v)
	}
	return text
}

// output remembers the first write that failed and lets none follow it, so
// that a command that does not look is not taken for done.
type output struct {
	w   io.Writer
	err atomic.Pointer[error]
}

func (o *output) Write(p []byte) (int, error) {
	if err := o.failure(); err != nil {
		return 0, err
	}
	n, err := o.w.Write(p)
	if err != nil {
		err = fmt.Errorf("write output: %w", err)
		o.err.CompareAndSwap(nil, &err)
	}
	return n, err
}

func (o *output) failure() error {
	if err := o.err.Load(); err != nil {
		return *err
	}
	return nil
}
