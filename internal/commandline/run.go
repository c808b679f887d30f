package commandline

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/typeset"
)

// Screen is what a person's terminal can do; the zero Screen: nothing.
type Screen struct {
	Width, Height int  // 0: not known
	Colour        bool // it shows colours, and they are wanted
	Live          bool // it moves its cursor, so lines can be rewritten
}

// Keyboard is the caller's terminal while a command has it for itself.
type Keyboard interface {
	// Read waits for keys, as they come: Ctrl-C is one of them. It returns the cause
	// of ctx at its end.
	Read(ctx context.Context, p []byte) (int, error)
	// Write shows p as it is.
	Write(p []byte) (int, error)
	// Size is that of the screen; 0: not known. Resized gets a value when it changes.
	Size() (columns, rows int)
	Resized() <-chan struct{}
	// Release gives the terminal back.
	Release()
}

// ReadAudit gives the records of the audit log that were written since then to
// each, as lines of JSON, oldest first. An error of each ends it.
type ReadAudit func(since time.Time, each func(line []byte) error) error

// Invocation is one line of one user.
type Invocation struct {
	Line    string   // what was typed, to be parsed
	Args    []string // the words, if it came as words; not nil: Line is ignored
	User    string
	Role    commands.Role
	Control control.Control // in the name of User
	Out     io.Writer       // nil: io.Discard; may be written to concurrently with Err
	Err     io.Writer       // nil: io.Discard
	Mode    commands.Mode
	Screen  Screen // in Interactive mode
	Prefix  string // before "error:", as in "line 3: "

	// Mark returns a mark that our own client finds in the output. After a lost
	// connection it goes on behind the last mark. kind is "place" or "job". Nil: no client of ours reads it.
	Mark func(kind, value string) string

	// Audit reads the audit log; nil: it may not be read here.
	Audit ReadAudit

	// Ask shows a prompt and returns the next line of input without its line
	// break, io.EOF when there is no more. Nil: there is no input.
	Ask func(ctx context.Context, prompt string) (string, error)

	// Keyboard takes the caller's terminal; nil: there is none.
	Keyboard func() (Keyboard, error)

	// Before is called when it is certain that the command name may run, with all
	// words as they were typed, its name among them. It writes to the audit log;
	// an error refuses the command. May be nil.
	Before func(name string, args []string) error
	// Denied is called instead of Before if the role or the limits do not
	// suffice. May be nil.
	Denied func(name string, args []string)
	// Panicked is called with the value and the stack of a command that panicked;
	// value is nil if it ended its goroutine with runtime.Goexit. May be nil.
	Panicked func(name string, value any, stack []byte)

	registry *Registry
	pipe     *pipeline // nil: there is no filter
}

type invocationKey struct{}

// InvocationOf is what a built-in command knows besides its call, from its
// context. Behind a filter there is neither a screen nor a mark: filters see
// lines as people do.
func InvocationOf(ctx context.Context) *Invocation {
	return ctx.Value(invocationKey{}).(*Invocation)
}

// Enough reports whether further output would be dropped.
func (in *Invocation) Enough() bool { return in.pipe != nil && in.pipe.full() }

// Run runs one line and returns its exit status: one of the constants Status…, or
// the one of the command's own error; never 255. A line without words is 0. Every
// failure has been told on in.Err: a line "error: …" and, if there is advice, a
// line "hint: …"; with --json an object
// {"version":1,"error":{code,message,hint}}. A command that the user cancelled
// tells nothing.
//
// Run may be called from any number of goroutines.
func (r *Registry) Run(ctx context.Context, in Invocation) int {
	done := make(chan int, 1)
	go r.RunHere(ctx, in, func(status int) { done <- status })
	return <-done
}

// RunHere is Run on the goroutine of the caller, which the command may end
// (runtime.Goexit): so the result goes to ended, as its last action.
func (r *Registry) RunHere(ctx context.Context, in Invocation, ended func(status int)) {
	if in.Out == nil {
		in.Out = io.Discard
	}
	if in.Err == nil {
		in.Err = io.Discard
	}
	if in.Mode != commands.Interactive {
		in.Screen = Screen{}
	}
	in.registry = r
	x := &execution{in: in}
	returned := false
	var err error
	defer func() {
		if !returned {
			err = x.broken(recover())
		}
		ended(x.end(ctx, err))
	}()
	err = x.run(ctx)
	returned = true
}

// execution is a line that is being run.
type execution struct {
	in   Invocation
	line parsed
	json bool      // --json was given, anywhere in the line
	name string    // of the command; empty: none was found yet
	pipe *pipeline // nil: there is no filter
	out  *output
	mute bool // the error needs no line
}

func (x *execution) run(ctx context.Context) (err error) {
	if x.line, err = x.in.parse(); err != nil || len(x.line.words) == 0 {
		return err
	}
	words := x.line.words
	_, x.json, _ = takeGlobal(words)
	in := x.in
	if len(x.line.filters) > 0 {
		x.pipe = chain(x.line.filters, in.Out)
		in.pipe, in.Out, in.Screen, in.Mark, in.Keyboard = x.pipe, x.pipe, Screen{}, nil, nil
	}
	x.out = &output{w: in.Out}
	in.Out = x.out
	command, args := in.registry.Lookup(words)
	if command == nil && in.Mode == commands.Interactive {
		if words, err = in.registry.expand(words, in.Role); err != nil {
			return err
		}
		command, args = in.registry.Lookup(words)
	}
	if command == nil {
		return in.strange(words)
	}
	x.name = command.Name
	return x.command(context.WithValue(ctx, invocationKey{}, &in), &in, command, words, args)
}

// command runs a command, if the user may and Before agrees.
func (x *execution) command(ctx context.Context, in *Invocation, command *commands.Command, words, args []string) error {
	if !may(in.Role, command.Role) {
		return in.deny(command, words, denied(command, in.Role))
	}
	args, json, help := takeGlobal(args)
	call := in.call(ctx, append([]string{command.Name}, args...), json)
	bad := call.ParseFlags(command.Flags)
	switch r := in.registry; {
	case r.limits.none() || help && r.mayShow(command):
	case bad != nil:
		return bad
	case !r.mayRun(command, call.Args[1:]):
		return in.deny(command, words, outside(append(strings.Fields(command.Name), call.Args[1:]...)))
	}
	if in.Before != nil {
		if err := in.Before(command.Name, words); err != nil {
			return fmt.Errorf("%s: %w", command.Name, err)
		}
	}
	err := bad
	switch {
	case help:
		return helper{call, in.registry}.on([]*commands.Command{command})
	case err == nil:
		err = command.Run(ctx, call)
	}
	if _, here := err.(*misread); err == nil || here {
		return err
	}
	x.mute = quiet(ctx, err) // and call Failure now: its methods are the application's code
	f := Failure(ctx, err)
	if f.Status == commands.StatusUsage {
		f.Hint = cmp.Or(f.Hint, "help "+command.Name)
	}
	return f
}

func (x *execution) end(ctx context.Context, err error) int {
	if x.out != nil {
		err = cmp.Or(err, x.out.failure())
	}
	if x.pipe != nil {
		err = cmp.Or(err, x.pipe.end(err == nil))
	}
	if err == nil {
		return commands.StatusOK
	}
	f := Failure(ctx, err)
	if f.Status < 1 || f.Status > 254 {
		f.Status = commands.StatusFailed
	}
	if f.Status == commands.StatusUsage || f.Status == commands.StatusUnknown {
		f.Hint = cmp.Or(typographic(x.in.Line), f.Hint)
	}
	switch {
	case x.json:
		_, _ = x.in.Err.Write(errorJSON(f))
	case !x.mute:
		at, _ := err.(*misread)
		_, _ = io.WriteString(x.in.Err, x.in.text(f, at, x.line))
	}
	return f.Status
}

// broken is the error of a command that panicked or ended its goroutine.
func (x *execution) broken(value any) error {
	if x.in.Panicked != nil {
		x.in.Panicked(x.name, value, debug.Stack())
	}
	return &control.Error{Code: control.ErrInternal.Code, Message: x.name + ": internal error; the log has the details"}
}

func (in *Invocation) parse() (parsed, error) {
	if in.Args == nil {
		return parse(in.Line)
	}
	for _, word := range in.Args {
		if err := checkText(word); err != nil {
			return parsed{}, fmt.Errorf("word %q: %w", typeset.Clip(word, maxGuess), err)
		}
	}
	return parsed{words: in.Args}, nil
}

func (in *Invocation) call(ctx context.Context, args []string, json bool) *commands.Call {
	call := &commands.Call{
		Args: args, User: in.User, Role: in.Role, Primary: in.Control, Out: in.Out, Err: in.Err,
		JSON: json, Mode: in.Mode, Width: in.Screen.Width,
	}
	if in.Ask != nil {
		call.Prompt = func(text string) (string, error) { return in.Ask(ctx, text) }
	}
	return call
}

// strange answers words that name no command; "worker ?" and "worker --help" ask
// for help.
func (in *Invocation) strange(words []string) error {
	r := in.registry
	bare, json, help := takeGlobal(words)
	if len(bare) == 0 {
		return r.unknown(words, in.Role)
	}
	help = help && len(bare) == 1 || len(bare) == 2 && bare[1] == "?"
	if family := r.family(bare[0], in.Role); help && len(family) > 0 {
		return helper{in.call(context.Background(), bare, json), r}.family(family)
	}
	return r.unknown(bare, in.Role)
}

func (in *Invocation) deny(c *commands.Command, words []string, err error) error {
	if in.Denied != nil {
		in.Denied(c.Name, words)
	}
	return err
}

func denied(c *commands.Command, role commands.Role) error {
	return &control.Error{Code: control.ErrDenied.Code, Message: fmt.Sprintf("denied: %s needs role %s, you are %s", c.Name, c.Role, role)}
}

func (in *Invocation) text(f *control.Error, at *misread, line parsed) string {
	var b strings.Builder
	if at := in.caret(f, at, line); at != "" {
		b.WriteString(at)
	} else {
		fmt.Fprintf(&b, "%serror: %s\n", in.Prefix, typeset.Safe(f.Message))
	}
	for _, line := range f.Lines {
		fmt.Fprintf(&b, "  %s\n", typeset.Safe(line))
	}
	if f.Hint != "" {
		fmt.Fprintf(&b, "hint: %s\n", typeset.Safe(f.Hint))
	}
	return b.String()
}

func errorJSON(f *control.Error) []byte {
	text, err := typeset.JSONObject(map[string]*control.Error{"error": f})
	if err != nil { // the details come from the application and may be anything
		f.Details = nil
		text, _ = typeset.JSONObject(map[string]*control.Error{"error": f})
	}
	return text
}

// takeGlobal takes --json and --help out of words, up to a word --.
func takeGlobal(words []string) (rest []string, json, help bool) {
	rest = make([]string, 0, len(words))
	for i, word := range words {
		switch word {
		case "--":
			return append(rest, words[i:]...), json, help
		case "--json":
			json = true
		case "--help":
			help = true
		default:
			rest = append(rest, word)
		}
	}
	return rest, json, help
}

// output remembers the first write that failed and lets none follow, so that a
// command that ignores the error does not count as done.
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
