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

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/builtin"
	"github.com/norestart/norestart/internal/commandline"
	"github.com/norestart/norestart/internal/ipc"
)

func ctlCommand(std streams) *cobra.Command {
	var p place
	cmd := &cobra.Command{
		Use:   "ctl [--dir DIR | --name NAME] COMMAND…",
		Short: "Run a command in a cluster on this machine",
		Long: `Run a command of the admin port in a cluster on this machine, over its local
socket: as root or as the cluster's own user, without a password, also when
the admin port is down. "norestart ctl help" lists the commands.

The exit status is that of the command: 0 done, 1 failed, 2 usage, 77 denied,
124 timed out, 127 no such command, 130 cancelled.`,
		Example: "  norestart ctl status\n  norestart ctl --dir ./state scale web 8",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return commands.Usagef("COMMAND is missing: norestart ctl help lists them")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := p.find()
			if err != nil {
				return err
			}
			if status := (ctl{std: std, run: d.Run, state: d.State}).do(cmd.Context(), args); status != commands.StatusOK {
				return &control.Error{Status: status}
			}
			return nil
		},
	}
	p.flags(cmd)
	cmd.Flags().SetInterspersed(false) // what follows COMMAND is the command's
	cmd.SetFlagErrorFunc(flagsAfter("COMMAND"))
	return cmd
}

type ctl struct {
	std        streams
	run, state string
}

// do runs the command and returns its exit status. Built-in commands run here,
// over the primary's socket, so they need no shell worker; those of the
// application run in the shell worker.
func (c ctl) do(ctx context.Context, args []string) int {
	ctx, stop := c.interruptible(ctx)
	defer stop()
	reg, err := commandline.NewRegistry(builtin.Commands(control.Version))
	if err != nil {
		return c.fail(err)
	}
	if found, _ := reg.Lookup(args); found == nil || args[0] == "help" || args[0] == "?" {
		client := &ipc.Client{Dial: c.dial}
		status, err := client.Attach(ctx, ipc.Attach{Args: args}, ipc.Streams{In: c.std.in, Out: c.std.out, Err: c.std.err})
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

// runHere runs a built-in command in this process, with a record in the audit
// log.
func (c ctl) runHere(ctx context.Context, reg *commandline.Registry, args []string) int {
	in, t := c.invocation(args), trail{state: c.state, err: c.std.err}
	in.Before = func(_ string, args []string) error { t.start(reg, args); return nil }
	status := reg.Run(ctx, in)
	t.end(status)
	return status
}

// unknown says that the command is not built in, and why the shell worker was
// not asked.
func (c ctl) unknown(ctx context.Context, reg *commandline.Registry, args []string, err error) int {
	status := reg.Run(ctx, c.invocation(args))
	fmt.Fprintf(c.std.err, "hint: the application's own commands could not be asked: %v\n", err)
	return status
}

func (c ctl) invocation(args []string) commandline.Invocation {
	client := &ipc.Client{Dial: c.dial}
	in := commandline.Invocation{
		Args: args, User: localName(), Role: commands.Admin, Control: client,
		Audit: audit.Reader(c.state),
		Out:   c.std.out, Err: c.std.err, Mode: commands.Exec, Ask: c.ask(bufio.NewReader(c.std.in)),
	}
	if c.std.terminal() {
		in.Keyboard = c.keyboard
	}
	return in
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

// ask asks a question on the terminal, or reads the next line of input.
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

// interruptible cancels the context at the first Ctrl-C; the second one ends
// the program.
func (c ctl) interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

func (c ctl) fail(err error) int {
	f := commandline.Failure(context.Background(), err)
	fmt.Fprintln(c.std.err, "error:", f.Message)
	if f.Hint != "" {
		fmt.Fprintln(c.std.err, "hint:", f.Hint)
	}
	return f.Status
}
