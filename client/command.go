package client

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Command is one command over ssh that survives a lost connection where that is
// safe. If it was not sent yet it goes over the next connection; if it only
// looks, it goes on where it broke. No other command is repeated.
type Command struct {
	SSH     *SSH
	Retry   Retry
	Line    string
	Streams Streams
	Notes   io.Writer // for notes about a lost connection

	conn    *Conn
	running progress
	sent    bool
}

// Run runs the command and returns its exit status. After begun was called,
// Ctrl-C goes to the command. The error is a *LostError when the outcome of the
// command is unknown.
func (c *Command) Run(ctx context.Context, begun func()) (int, error) {
	err := c.dial(ctx)
	for line := c.Line; ; {
		var status int
		if err == nil {
			begun()
			status, err = c.once(ctx, line)
		}
		if !errors.Is(err, ErrLost) {
			return status, err
		}
		if c.sent {
			if line = c.running.resume(); line == "" {
				return 0, c.running.lost(nil)
			}
		}
		again := func(ctx context.Context) error { return c.Retry.again(ctx, c.Notes, c.dial) }
		if err = interruptible(ctx, c.Streams.Interrupts, again); err != nil {
			return 0, c.givenUp(err)
		}
	}
}

// Sent reports whether the server may have got the command.
func (c *Command) Sent() bool { return c.sent }

func (c *Command) dial(ctx context.Context) (err error) {
	c.conn, err = c.SSH.Dial(ctx)
	return err
}

// once runs a line over the present connection and closes that.
func (c *Command) once(ctx context.Context, line string) (int, error) {
	defer c.conn.Close()
	out := &output{w: c.Streams.Out, line: line, running: &c.running}
	streams := c.Streams
	streams.Out, streams.marks = out, true
	status, err := c.conn.Exec(ctx, line, streams)
	if !errors.Is(err, ErrUnsent) {
		c.sent = true
	}
	if flush := out.end(errors.Is(err, ErrLost)); err == nil {
		err = flush
	}
	return status, err
}

// givenUp is the error if there is no other connection.
func (c *Command) givenUp(err error) error {
	switch {
	case c.sent:
		return c.running.lost(err)
	case err == ErrLost: // there was no connection yet
		return ErrUnsent
	}
	return fmt.Errorf("the command was not sent: %w", err)
}
