package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/norestart/norestart/client"
	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

// leaveAfter bounds the wait for a command to end after the second Ctrl-C.
const leaveAfter = 2 * time.Second

var (
	errTimeout = errors.New("timed out")
	errLeft    = errors.New("interrupted")
)

func execCommand(std streams) *cobra.Command {
	var l login
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "exec [FLAGS] [USER@]HOST[:PORT] COMMAND…",
		Short: "Run one command on an admin port, over ssh",
		Long: `Run one command on the admin port of a cluster, over ssh. Several words are
given to it as they are; one word with spaces is a line, as with ssh.

Standard input is read only when the command asks, a line for each question.
Ctrl-C cancels the command; a second Ctrl-C stops waiting for it.

If the connection is lost before the command was sent, it connects again. A log,
events or a job that was followed goes on where it broke. No other command is
sent twice: you are told that its outcome is not known.

On a terminal, "worker attach" gets every key until Ctrl-], and attaches again
after a lost connection; ~. after Enter leaves at once, ~? lists such keys.

The exit status is that of the command: 0 done, 1 failed, 2 usage, 77 denied,
124 timed out, 127 no such command, 130 cancelled. It is 1 if the command was not
sent, 255 if its outcome is not known, 2 if this program was called wrongly.

Keys are those of -i, of the ssh agent, and ~/.ssh/id_ed25519, id_ecdsa,
id_rsa; a password is asked for on a terminal.`,
		Example: "  norestart exec admin@shop.example status\n  norestart exec -i deploy.key deploy@shop.example:7778 reload web",
		Args: func(_ *cobra.Command, args []string) error {
			switch len(args) {
			case 0:
				return commands.Usagef("HOST is missing")
			case 1:
				return hint(commands.Usagef("COMMAND is missing"), "norestart exec %s help; for a session: norestart connect %s", args[0], args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 0 {
				return commands.Usagef("--timeout must not be negative")
			}
			if err := l.check(); err != nil {
				return err
			}
			return l.exec(std, limit, args[0], args[1:])
		},
	}
	l.flags(cmd.Flags())
	cmd.Flags().DurationVar(&limit, "timeout", 0, "give up after this `time`, with status 124")
	cmd.ValidArgsFunction = l.complete(std)
	cmd.SetFlagErrorFunc(flagsAfter("HOST COMMAND"))
	return cmd
}

func (l *login) exec(std streams, limit time.Duration, host string, words []string) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	ctx, unwatch := untilEnd(ctx)
	defer unwatch()
	if limit > 0 {
		overdue := time.AfterFunc(limit, func() { cancel(errTimeout) })
		defer overdue.Stop()
	}
	in := client.NewInput(std.in)
	s, err := l.ssh(std, in, host)
	if err != nil {
		return err
	}
	signals, stop := interrupts()
	defer stop()
	if std.terminal() && client.TakesTerminal(line(words)) {
		t := &client.Terminal{
			SSH: s, Retry: l.retry(), In: in, TTY: std.in, Out: std.out, Err: std.err,
			Term: os.Getenv("TERM"), Line: line(words), Interrupts: signals,
		}
		return atTerminal(ctx, t, limit)
	}
	c := &client.Command{
		SSH: s, Retry: l.retry(), Line: line(words), Notes: std.err,
		Streams: client.Streams{Answer: in.Line, Out: std.out, Err: std.err},
	}
	status, err := withInterrupts(cancel, signals, func(begun func(), passed <-chan struct{}) (int, error) {
		c.Streams.Interrupts = passed
		return c.Run(ctx, begun)
	})
	switch {
	case err != nil:
		return execFailed(err, c, limit)
	case status != commands.StatusOK:
		return &control.Error{Status: status}
	}
	return nil
}

// atTerminal runs a command that takes the terminal.
func atTerminal(ctx context.Context, t *client.Terminal, limit time.Duration) error {
	status, err := t.Run(ctx)
	if context.Cause(ctx) == errTimeout {
		return &control.Error{Status: commands.StatusTimeout, Err: fmt.Errorf("timed out after %s", limit)}
	}
	return sessionEnded(status, err, t.SSH.Target)
}

// line returns the command line for words; a single word is one already.
func line(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return client.Words(words)
}

// withInterrupts runs do and watches for Ctrl-C. Before do calls begun, Ctrl-C
// cancels do; after that the first goes to the command, and the second ends the
// wait.
func withInterrupts(cancel context.CancelCauseFunc, signals <-chan struct{}, do func(begun func(), passed <-chan struct{}) (int, error)) (int, error) {
	passed, began, done := make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		watchInterrupts(cancel, signals, passed, began, done)
	}()
	defer func() { close(done); <-watched }()
	return do(sync.OnceFunc(func() { close(began) }), passed)
}

func watchInterrupts(cancel context.CancelCauseFunc, signals <-chan struct{}, passed chan<- struct{}, began, done <-chan struct{}) {
	for pressed := 0; ; {
		select {
		case <-done:
			return
		case <-signals:
		}
		select {
		case <-began:
		default:
			cancel(errLeft)
			return
		}
		select {
		case passed <- struct{}{}:
		default: // one waits
		}
		if pressed++; pressed == 2 {
			defer time.AfterFunc(leaveAfter, func() { cancel(errLeft) }).Stop()
		}
	}
}

// execFailed explains why there is no exit status of the command.
func execFailed(err error, c *client.Command, limit time.Duration) error {
	switch {
	case errors.Is(err, errLeft), errors.Is(err, context.Canceled), errors.Is(err, client.ErrInterrupted):
		return &control.Error{Status: commands.StatusCancelled}
	case errors.Is(err, errTimeout) && c.Sent():
		err = &control.Error{Status: commands.StatusTimeout, Err: fmt.Errorf("timed out after %s: whether the command was done is not known", limit)}
		return hint(err, "norestart exec %s job list", c.SSH.Target)
	case errors.Is(err, errTimeout):
		return &control.Error{Status: commands.StatusTimeout, Err: fmt.Errorf("timed out after %s: the command was not sent", limit)}
	case errors.As(err, new(*client.LostError)):
		return lost(err, c.SSH.Target)
	}
	return loginFailed(err, c.SSH.Target)
}

// lost tells how to find out the outcome of a command.
func lost(err error, t client.Target) error {
	failed := &control.Error{Status: statusLost, Err: err}
	if l, ok := errors.AsType[*client.LostError](err); ok && l.Hint != "" {
		return hint(failed, "norestart exec %s %s", t, l.Hint)
	}
	return failed
}
