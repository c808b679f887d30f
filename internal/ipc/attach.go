package ipc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/norestart/norestart/control"
)

// Streams are those of the caller of a command.
type Streams struct {
	In       io.Reader // nil: there is no input
	Out, Err io.Writer
}

// attachTimeout bounds the wait for a worker to accept a command.
const attachTimeout = 3 * time.Second

// Attach runs a command in another worker, and returns its exit status. At the end
// of ctx the command is asked to end, and is waited for.
func (c *Client) Attach(ctx context.Context, a Attach, s Streams) (int, error) {
	h := c.Hello
	h.Purpose = PurposeRequest
	conn, _, err := Open(ctx, c.Dial, h)
	if err != nil {
		return 0, c.explain(err)
	}
	defer conn.Close()
	if err := conn.Send(SendTimeout, TypeAttach, a); err != nil {
		return 0, err
	}
	m, err := conn.Receive(attachTimeout)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w: the worker does not answer", control.ErrUnavailable)
	case m.Type == TypeRefused:
		var f control.Error
		return 0, errors.Join(m.Decode(&f), &f)
	case m.Type != TypeAttached:
		return 0, fmt.Errorf("unexpected answer %q", m.Type)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Send(SendTimeout, TypeCancel, nil) })()
	return s.converse(conn)
}

// converse copies the streams until the command has ended.
func (s Streams) converse(conn *Conn) (int, error) {
	for {
		m, err := conn.Receive(0) // no deadline: the worker closes the connection
		if err != nil {
			return 0, errors.New("the worker has gone: whether the command was done is not known")
		}
		switch m.Type {
		case TypeStdout, TypeStderr:
			if err := s.show(m); err != nil {
				return 0, err
			}
		case TypeWant:
			s.feed(conn)
		case TypeExit:
			var e ExitStatus
			err := m.Decode(&e)
			return e.Status, err
		}
	}
}

func (s Streams) show(m Message) error {
	var d Data
	if err := m.Decode(&d); err != nil {
		return err
	}
	out := s.Out
	if m.Type == TypeStderr {
		out = s.Err
	}
	_, err := out.Write(d.Data)
	return err
}

// feed sends the next piece of input when the command asks for it. If the
// command has ended meanwhile the send fails, and its status is still to come.
func (s Streams) feed(conn *Conn) {
	if s.In == nil {
		_ = conn.Send(SendTimeout, TypeStdin, Data{EOF: true})
		return
	}
	buf := make([]byte, 4<<10)
	n, err := s.In.Read(buf)
	_ = conn.Send(SendTimeout, TypeStdin, Data{Data: buf[:n], EOF: err != nil})
}
