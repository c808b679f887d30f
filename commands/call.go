package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/flagset"
	"github.com/norestart/norestart/internal/typeset"
)

// Mode is how a command came in, which decides how it may present itself.
type Mode int

// The modes, decided by the request alone.
const (
	Exec        Mode = iota // one command: no colour, no prompt, no width dependence, even with a pty
	Script                  // lines on standard input, no pty
	Interactive             // a person at a prompt
)

// Call is one run of a command. The admin port fills it in; so may a test that
// calls [Command.Run].
type Call struct {
	Args    []string        // Args[0] is the command's own name
	User    string          // who typed it
	Role    Role            // of the user
	Primary control.Control // the cluster, in the name of the user
	Out     io.Writer       // standard output
	Err     io.Writer       // standard error
	JSON    bool            // --json was given
	Mode    Mode
	Width   int // columns of the terminal in Interactive mode, else 0

	// Prompt shows a text and returns the next line of input without its line
	// break, io.EOF when there is no more: what Ask uses. Nil: there is no input.
	Prompt func(text string) (string, error)

	flags *pflag.FlagSet
}

// confirmWithin is how long the cluster may take to tell its name.
const confirmWithin = 10 * time.Second

// Printf writes to standard output. Text that others wrote should pass [Safe]
// first. A write that fails ends the command with status 1, so there is no
// error to look at.
func (c *Call) Printf(format string, args ...any) {
	_, _ = fmt.Fprintf(c.Out, format, args...)
}

// Ask shows prompt and returns what the user typed, without the line break. In
// a script it takes the next line. When there is no more, the error ends the
// command as "end of input".
func (c *Call) Ask(prompt string) (answer string, err error) {
	err = io.EOF
	if c.Prompt != nil {
		answer, err = c.Prompt(prompt)
	}
	if errors.Is(err, io.EOF) {
		return "", &Error{Code: "end_of_input", Message: "end of input", Err: err}
	}
	return answer, err
}

// Confirm has a person type the cluster's name before something that cannot
// be undone; what tells what it does, as in "This stops 4 workers." Without
// a person to ask it is a usage error that names --yes, so a command that
// confirms should have that flag.
func (c *Call) Confirm(what string) error {
	if c.Mode != Interactive {
		err := Usagef("%s needs --yes when it cannot ask", c.Args[0])
		err.Hint = strings.Join(c.Args, " ") + " --yes"
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), confirmWithin)
	defer cancel()
	s, err := control.Get(ctx, c.Primary, control.StatusQuery{})
	if err != nil {
		return err
	}
	answer, err := c.Ask(fmt.Sprintf("%s Type the cluster's name to go on: ", Safe(what)))
	if err == nil && answer != s.Name {
		err = &Error{Code: "not_confirmed", Message: fmt.Sprintf("%q is not the cluster's name: nothing was done", answer)}
	}
	return err
}

// ParseFlags takes the flags that declare declares out of Args; nil takes none.
// Before [Command.Run] the admin port has done it; a test does it with
// [Command.Flags]. The error is a usage error.
func (c *Call) ParseFlags(declare func(*pflag.FlagSet)) error {
	if declare == nil {
		return nil
	}
	c.flags = flagset.New(c.Args[0], declare)
	args, err := flagset.Parse(c.flags, c.Args[1:])
	if err != nil {
		return Usagef("%w", err)
	}
	c.Args = append(c.Args[:1:1], args...)
	return nil
}

// Flags returns the values of the flags that the command declared.
func (c *Call) Flags() *pflag.FlagSet {
	if c.flags == nil {
		return flagset.New(c.Args[0], nil)
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
		return nil, Usagef("%s takes no argument, got %q", c.Args[0], words[0])
	case most >= 0 && len(words) > most:
		return nil, Usagef("%s: one argument too many: %q", c.Args[0], words[most])
	}
	return words, nil
}

// Table writes rows under a header in aligned columns, in one piece: a table
// is whole or not there. Cells pass [Safe]. At a prompt the table is made to
// fit the terminal: the widest columns are cut first, then the lines.
func (c *Call) Table(header []string, rows ...[]string) error {
	_, err := io.WriteString(c.Out, typeset.Table(append([][]string{header}, rows...), c.Width, nil))
	return err
}

// WriteJSON writes v as one line: a JSON object that begins with "version":1.
// v must encode as an object and have no field of that name. By convention
// times are RFC 3339, durations seconds and sizes bytes.
func (c *Call) WriteJSON(v any) error {
	text, err := typeset.JSONObject(v)
	if err != nil {
		return err
	}
	_, err = c.Out.Write(text)
	return err
}

// Safe returns s such that it cannot act on a terminal or hide what it says:
// control characters but TAB, format characters (bidirectional marks, zero
// width), line separators and bytes that are not UTF-8 are shown as \n, \x1b,
// \u202e and the like. Backslashes stay, so the result is for eyes, not for
// parsing.
func Safe(s string) string { return typeset.Safe(s) }
