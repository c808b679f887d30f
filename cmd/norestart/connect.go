package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/norestart/norestart/client"
	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

// connect holds the flags of the command connect.
type connect struct {
	login
	host          string
	tls           bool
	ca, cert, key string
	file          string
}

func connectCommand(std streams) *cobra.Command {
	var c connect
	cmd := &cobra.Command{
		Use:   "connect [FLAGS] [USER@]HOST[:PORT]",
		Short: "Open a session on an admin port, over ssh or TLS",
		Long: `Open a session on the admin port of a cluster, over ssh, or with --tls in its
TLS line shell.

If the connection is lost, it connects again, and asks again for a password that
was typed. What was typed and not sent stays. No command is sent twice: if its
outcome is not known, you are told. A log, events or a job that was followed
goes on where it broke.

With --file, or if standard input is not a terminal, the lines there are run;
the first that fails ends it, with its status.

Over ssh, ~. after Enter leaves, ~? lists such keys. The exit status is 0 after
"exit", 1 if the login failed or it could not connect again, 255 if it could not
and the outcome of a command is not known.`,
		Example: "  norestart connect admin@shop.example\n  norestart connect --tls --tls-ca ca.crt shop.example\n  norestart connect --file night.txt deploy@shop.example",
		Args:    exact("HOST"),
		RunE:    func(_ *cobra.Command, args []string) error { return c.run(std, args[0]) },
	}
	flags := cmd.Flags()
	c.flags(flags)
	flags.SetInterspersed(true)
	flags.BoolVar(&c.tls, "tls", false, "over TLS instead of ssh")
	flags.StringVar(&c.ca, "tls-ca", "", "`file` of the CA of the server; without it you are asked once whether to trust its certificate")
	flags.StringVar(&c.cert, "tls-cert", "", "`file` of a client certificate, instead of a password")
	flags.StringVar(&c.key, "tls-key", "", "`file` of its key (default: that of --tls-cert)")
	flags.StringVar(&c.file, "file", "", "run the commands in this `file`; -: standard input")
	flags.DurationVar(&c.timeout, "timeout", 0, "`time` that a login may take (default 20s)")
	return cmd
}

func (c *connect) check() error {
	switch {
	case !c.tls && c.ca+c.cert+c.key != "":
		return commands.Usagef("--tls-ca, --tls-cert and --tls-key need --tls")
	case c.tls && len(c.identities) > 0:
		return commands.Usagef("-i is for ssh: with --tls name --tls-cert")
	case c.key != "" && c.cert == "":
		return commands.Usagef("--tls-key needs --tls-cert")
	}
	return c.login.check()
}

func (c *connect) run(std streams, host string) error {
	if err := c.check(); err != nil {
		return err
	}
	c.host = host
	in := client.NewInput(std.in)
	s, err := c.ssh(std, in, host)
	if err != nil {
		return err
	}
	person := client.NewPerson(in, std.in, std.err)
	if c.file == "" && (person == nil || c.batch) {
		c.file = "-"
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	ctx, unwatch := untilEnd(ctx)
	defer unwatch()
	script, closeScript, err := c.script(in)
	if err != nil {
		return err
	}
	defer closeScript()
	signals, stop := interrupts()
	defer stop()
	var status int
	if c.tls {
		status, err = c.overTLS(ctx, std, in, s, script, signals)
	} else {
		status, err = c.overSSH(ctx, cancel, std, in, s, script, signals)
	}
	return sessionEnded(status, err, s.Target)
}

// script returns the commands to run, unless a person types.
func (c *connect) script(in *client.Input) (*client.Script, func() error, error) {
	switch c.file {
	case "":
		return nil, func() error { return nil }, nil
	case "-":
		return client.NewScript("standard input", in), func() error { return nil }, nil
	}
	f, err := os.Open(c.file)
	if err != nil {
		return nil, nil, err
	}
	return client.NewScript(c.file, client.NewInput(f)), f.Close, nil
}

func (c *connect) overSSH(ctx context.Context, cancel context.CancelCauseFunc, std streams, in *client.Input, s *client.SSH, script *client.Script, signals <-chan struct{}) (int, error) {
	if script != nil {
		return withInterrupts(cancel, signals, func(begun func(), passed <-chan struct{}) (int, error) {
			conn, err := s.Dial(ctx)
			if err != nil {
				return 0, err
			}
			defer conn.Close()
			begun()
			return script.Run(ctx, conn, client.Streams{Out: std.out, Err: std.err, Interrupts: passed})
		})
	}
	t := &client.Terminal{SSH: s, Retry: c.retry(), In: in, TTY: std.in, Out: std.out, Err: std.err, Term: os.Getenv("TERM"), Interrupts: signals}
	return t.Run(ctx)
}

func (c *connect) overTLS(ctx context.Context, std streams, in *client.Input, s *client.SSH, script *client.Script, signals <-chan struct{}) (int, error) {
	if s.User != "" && strings.Contains(c.host, "@") {
		fmt.Fprintln(std.err, "warning: over TLS the server decides who you are; see: whoami")
	}
	pins, err := configFile("", "known_certificates")
	if err != nil {
		return 0, err
	}
	session := &client.LineSession{
		TLS:   &client.TLS{Target: s.Target, CA: c.ca, Cert: c.cert, Key: cmp.Or(c.key, c.cert), Pins: pins, Person: s.Person, Timeout: c.timeout},
		Retry: c.retry(), In: in, Out: std.out, Script: script,
	}
	if script == nil {
		path, err := historyFile()
		if err == nil {
			session.History, err = client.OpenHistory(path)
		}
		if err != nil {
			fmt.Fprintf(std.err, "warning: %v\n", err)
		}
	}
	session.Interrupts = signals
	return session.Run(ctx)
}

// historyFile is in the user's state directory (XDG Base Directory
// Specification).
func historyFile() (string, error) {
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "norestart", "history"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".local", "state", "norestart", "history"), nil
}

// sessionEnded translates the end of a session into an error.
func sessionEnded(status int, err error, t client.Target) error {
	stopped, atCommand := errors.AsType[*client.ScriptError](err)
	switch {
	case atCommand:
		return &control.Error{Status: stopped.Status, Err: stopped}
	case errors.Is(err, errLeft), errors.Is(err, context.Canceled), errors.Is(err, client.ErrInterrupted):
		return &control.Error{Status: commands.StatusCancelled}
	case errors.As(err, new(*client.LostError)):
		return lost(err, t)
	case err != nil:
		return loginFailed(err, t)
	case status != commands.StatusOK:
		return &control.Error{Status: status}
	}
	return nil
}
