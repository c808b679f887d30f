package workertest

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/builtin"
	"github.com/norestart/norestart/internal/commandline"
	"github.com/norestart/norestart/internal/ipc"
)

// Operator types lines, as at the admin port of an application with these
// commands beside the built-in ones. The zero Operator is an admin who runs one
// command at a time and has no cluster.
type Operator struct {
	Commands []commands.Command // the application's
	User     string             // empty: admin
	Role     commands.Role      // NoRole: commands.Admin
	Mode     commands.Mode
	Input    string          // the lines with which questions are answered
	Control  control.Control // nil: there is no cluster, and what asks it is told so
}

// Result is what a line has done.
type Result struct {
	Out, Err string // standard output, with the questions in Interactive mode; standard error
	Status   int    // the exit status: commands.StatusOK, …
}

// Run runs one line. The commands must be such as an application can register,
// and a command that panics fails the test.
func (o Operator) Run(t testing.TB, line string) Result {
	t.Helper()
	r, err := commandline.NewRegistry(builtin.Commands(control.Version), o.Commands...)
	if err != nil {
		t.Fatal("workertest: ", err)
	}
	var out, errs strings.Builder
	in := commandline.Invocation{
		Line: line, User: o.User, Role: o.Role, Control: o.Control, Mode: o.Mode, Out: &out, Err: &errs,
		Ask: o.answers(&out),
		Panicked: func(name string, value any, stack []byte) {
			t.Errorf("workertest: command %s panicked: %v\n%s", name, value, stack)
		},
	}
	if in.User == "" {
		in.User = "admin"
	}
	if in.Role == commands.NoRole {
		in.Role = commands.Admin
	}
	if in.Control == nil {
		in.Control = &ipc.Client{Dial: func(context.Context) (*net.UnixConn, error) { return nil, errNoCluster }}
	}
	status := r.Run(t.Context(), in)
	return Result{Out: out.String(), Err: errs.String(), Status: status}
}

func (o Operator) answers(out io.Writer) func(context.Context, string) (string, error) {
	left := o.Input
	return func(_ context.Context, prompt string) (string, error) {
		if o.Mode == commands.Interactive {
			_, _ = io.WriteString(out, prompt) // a strings.Builder
		}
		if left == "" {
			return "", io.EOF
		}
		var line string
		line, left, _ = strings.Cut(left, "\n")
		return line, nil
	}
}
