package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/control"
)

// answerWithin is how long a question to the cluster may take that it answers
// from what it knows.
const answerWithin = 10 * time.Second

// Printf writes to standard output. What others wrote should pass [Safe]
// first. A write that fails ends the command with status 1, so there is no
// error to look at.
func (c *Call) Printf(format string, args ...any) {
	_, _ = fmt.Fprintf(c.Out, format, args...)
}

// Ask shows prompt and returns what the user typed, without the line break. In
// a script it takes the next line. When there is no more, the error ends the
// command as "end of input".
func (c *Call) Ask(prompt string) (string, error) {
	if c.ask == nil {
		return "", endOfInput(io.EOF)
	}
	answer, err := c.ask(c.context(), prompt)
	if errors.Is(err, io.EOF) {
		return "", endOfInput(err)
	}
	return answer, err
}

func endOfInput(err error) *Error {
	return &Error{Code: "end_of_input", Message: "end of input", Err: err}
}

// Confirm has a person type the cluster's name before something that cannot
// be undone; what tells what it does, as in "This stops 4 workers." Where
// nobody can be asked it is a usage error that names --yes, so a command that
// confirms should have that flag.
func (c *Call) Confirm(what string) error {
	if err := c.canConfirm(); err != nil {
		return err
	}
	s, err := c.status(c.context())
	if err != nil {
		return err
	}
	return c.confirmName(what, s.Name)
}

func (c *Call) canConfirm() error {
	if c.Mode != Interactive {
		err := Usagef("%s needs --yes when it cannot ask", c.Args[0])
		err.Hint = c.Args[0] + " --yes"
		return err
	}
	return nil
}

func (c *Call) confirmName(what, name string) error {
	answer, err := c.Ask(fmt.Sprintf("%s Type the cluster's name to go on: ", Safe(what)))
	if err != nil {
		return err
	}
	if answer != name {
		return &Error{Code: "not_confirmed", Message: fmt.Sprintf("%q is not the cluster's name: nothing was done", answer)}
	}
	return nil
}

// Flags returns the values of the flags that the command declared.
func (c *Call) Flags() *pflag.FlagSet {
	if c.flags == nil {
		return newFlags(c.Args[0], nil)
	}
	return c.flags
}

// Words returns the arguments, the command's own name not among them. It is a
// usage error if there are fewer than least or more than most; a negative most
// is no limit.
func (c *Call) Words(least, most int) ([]string, error) {
	words := c.Args[1:]
	switch {
	case len(words) < least:
		return nil, Usagef("%s: arguments are missing", c.Args[0])
	case most == 0 && len(words) > 0:
		return nil, Usagef("%s takes no argument, there is %q", c.Args[0], words[0])
	case most >= 0 && len(words) > most:
		return nil, Usagef("%s: one argument too many: %q", c.Args[0], words[most])
	}
	return words, nil
}

// status asks for the status, with a deadline.
func (c *Call) status(ctx context.Context) (control.Status, error) {
	return answer(ctx, c.Primary.Status)
}

// answer asks ask for something that comes at once.
func answer[T any](ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return ask(ctx)
}

func (c *Call) context() context.Context {
	if c.ctx == nil {
		return context.Background()
	}
	return c.ctx
}
