package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/dirs"
	"github.com/norestart/norestart/internal/ipc"
)

// attachTimeout is how long the shell worker may take to accept a call.
const attachTimeout = 3 * time.Second

func ctlCommand(std streams) *cobra.Command {
	var dir, name string
	cmd := &cobra.Command{
		Use:   "ctl [--dir DIR | --name NAME] COMMAND…",
		Short: "Run a command in a cluster on this machine",
		Long: `Run a command of the admin port in a cluster on this machine, over its local
socket: as root or as the cluster's own user, without a password, also when
the admin port is down. "norestart ctl help" lists the commands.

The exit status is that of the command: 0 done, 1 failed, 2 usage, 77 denied,
124 timed out, 127 no such command, 130 cancelled.`,
		Example:               "  norestart ctl status\n  norestart ctl --dir ./state scale web 8",
		DisableFlagsInUseLine: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(errors.New("COMMAND is missing: norestart ctl help lists them"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := dirs.Find(name, dir)
			if err != nil {
				return err
			}
			if status := (ctl{std: std, run: d.Run, state: d.State}).do(cmd.Context(), args); status != statusOK {
				return &statusError{status: status}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "the cluster's directory, where it was started with --dir")
	cmd.Flags().StringVar(&name, "name", "", "the cluster's name, where there are several")
	cmd.Flags().SetInterspersed(false) // what follows COMMAND is the command's
	cmd.MarkFlagsMutuallyExclusive("dir", "name")
	cmd.SetFlagErrorFunc(ctlFlagError)
	return cmd
}

// ctlFlagError tells where a flag goes that is COMMAND's.
func ctlFlagError(cmd *cobra.Command, err error) error {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok || unknown.GetSpecifiedShortnames() != "" {
		return usage(err)
	}
	return hint(usage(err), "flags of COMMAND go after it: %s COMMAND --%s", cmd.CommandPath(), unknown.GetSpecifiedName())
}

// ctl is one command for the cluster of these directories.
type ctl struct {
	std        streams
	run, state string
}

// do runs the command and returns its exit status. Built-in commands run here,
// on the primary's socket, so that they need no shell worker; the
// application's own run in the shell worker, where they live.
func (c ctl) do(ctx context.Context, args []string) int {
	ctx, stop := c.interruptible(ctx)
	defer stop()
	reg, err := commands.NewRegistry(commands.Builtin(control.Version))
	if err != nil {
		return c.fail(err)
	}
	if found, _ := reg.Lookup(args); found == nil || args[0] == "help" || args[0] == "?" {
		status, err := c.attach(ctx, args)
		switch {
		case err == nil:
			return status
		case !errors.Is(err, control.ErrUnavailable):
			return c.fail(err)
		case found == nil:
			return c.unknown(ctx, reg, args, err)
		}
	}
	return c.runHere(ctx, reg, args)
}

// runHere runs a built-in command in this process, on the record.
func (c ctl) runHere(ctx context.Context, reg *commands.Registry, args []string) int {
	in, t := c.invocation(args), trail{state: c.state, err: c.std.err}
	in.Before = func(_ string, args []string) error { t.start(reg, args); return nil }
	status := reg.Run(ctx, in)
	t.end(status)
	return status
}

// unknown tells that the command is not built in, and why nobody else was asked.
func (c ctl) unknown(ctx context.Context, reg *commands.Registry, args []string, err error) int {
	status := reg.Run(ctx, c.invocation(args))
	fmt.Fprintf(c.std.err, "hint: the application's own commands could not be asked: %v\n", err)
	return status
}

func (c ctl) invocation(args []string) commands.Invocation {
	client := &ipc.Client{Dial: c.dial}
	return commands.Invocation{
		Args: args, User: localName(), Role: commands.Admin, Control: client,
		Out: c.std.out, Err: c.std.err, Mode: commands.Exec, Ask: c.ask(bufio.NewReader(c.std.in)),
	}
}

func localName() string { return fmt.Sprintf("ctl uid=%d pid=%d", os.Getuid(), os.Getpid()) }

func (c ctl) dial(ctx context.Context) (*net.UnixConn, error) {
	conn, err := dialUnix(ctx, filepath.Join(c.run, ipc.CtlSocket))
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil, c.noPrimary()
	case err != nil:
		return nil, fmt.Errorf("%s: %w", c.run, err)
	}
	return conn, nil
}

func (c ctl) noPrimary() error {
	return &control.Error{
		Code: control.ErrUnavailable.Code, Message: "no primary answers in " + c.run,
		Hint: "start the program again: it takes over what still runs; norestart stop --orphans ends that",
	}
}

// ask puts a question to the terminal, or reads the next line of input.
func (c ctl) ask(in *bufio.Reader) func(context.Context, string) (string, error) {
	return func(_ context.Context, prompt string) (string, error) {
		out := c.std.err
		if term.IsTerminal(int(c.std.in.Fd())) {
			out = c.std.out
		}
		fmt.Fprint(out, prompt)
		line, err := in.ReadString('\n')
		if err == io.EOF && line != "" {
			err = nil
		}
		return strings.TrimRight(line, "\r\n"), err
	}
}

// interruptible ends the context at the first Ctrl-C; the second one has its
// usual meaning.
func (c ctl) interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

func (c ctl) fail(err error) int {
	fmt.Fprintln(c.std.err, "error:", err)
	var e *control.Error
	if errors.As(err, &e) && e.Hint != "" {
		fmt.Fprintln(c.std.err, "hint:", e.Hint)
	}
	return statusFailed
}

// attach runs a command in the shell worker.
func (c ctl) attach(ctx context.Context, args []string) (int, error) {
	conn, _, err := ipc.Open(ctx, c.dial, ipc.Hello{Purpose: ipc.PurposeRequest})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.Send(ipc.SendTimeout, ipc.TypeAttach, ipc.Attach{Args: args}); err != nil {
		return 0, err
	}
	m, err := conn.Receive(attachTimeout)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w: the shell worker does not answer", control.ErrUnavailable)
	case m.Type == ipc.TypeRefused:
		var f ipc.Failure
		return 0, errors.Join(m.Decode(&f), f.Err())
	case m.Type != ipc.TypeAttached:
		return 0, fmt.Errorf("unexpected answer %q", m.Type)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Send(ipc.SendTimeout, ipc.TypeCancel, nil) })()
	return c.converse(conn)
}

// converse carries the streams until the command has ended.
func (c ctl) converse(conn *ipc.Conn) (int, error) {
	for {
		m, err := conn.Receive(0) // the shell worker's end ends it
		if err != nil {
			return 0, errors.New("the shell worker has gone: whether the command was done is not known")
		}
		switch m.Type {
		case ipc.TypeStdout, ipc.TypeStderr:
			if err := c.show(m); err != nil {
				return 0, err
			}
		case ipc.TypeWant:
			c.feed(conn)
		case ipc.TypeExit:
			var s ipc.ExitStatus
			err := m.Decode(&s)
			return s.Status, err
		}
	}
}

func (c ctl) show(m ipc.Message) error {
	var d ipc.Data
	if err := m.Decode(&d); err != nil {
		return err
	}
	out := c.std.out
	if m.Type == ipc.TypeStderr {
		out = c.std.err
	}
	_, err := out.Write(d.Data)
	return err
}

// feed sends the next piece of our input: it is read only when the command
// does. One that has ended meanwhile no longer listens, but its status is still
// to come.
func (c ctl) feed(conn *ipc.Conn) {
	buf := make([]byte, 4<<10)
	n, err := c.std.in.Read(buf)
	_ = conn.Send(ipc.SendTimeout, ipc.TypeStdin, ipc.Data{Data: buf[:n], EOF: err != nil})
}
