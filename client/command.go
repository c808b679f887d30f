package client

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Command is one command over ssh that outlives its connection, as far as it
// can: one that was not sent is sent over the next, and what only looks goes on
// where it broke. Anything else is not repeated.
type Command struct {
	SSH     *SSH
	Retry   Retry
	Line    string
	Streams Streams
	Notes   io.Writer // where a lost connection is told

	conn    *Conn
	running progress
	sent    bool
}

// Run runs the command and returns its exit status. Once begun was called, a
// Ctrl-C is the command's. The error is a *LostError when nobody knows what
// became of it.
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

// once runs a line over the connection in hand and ends that.
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

// givenUp is the error when there is no other connection.
func (c *Command) givenUp(err error) error {
	switch {
	case c.sent:
		return c.running.lost(err)
	case err == ErrLost: // none was tried
		return ErrUnsent
	}
	return fmt.Errorf("the command was not sent: %w", err)
}
