package ipc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/norestart/norestart/control"
)

// replyTimeout bounds a request that is not streamed and whose context has no
// deadline.
const replyTimeout = 10 * time.Second

// Client is a [control.Control] over the primary's sockets. Dial must be set.
type Client struct {
	Dial  func(ctx context.Context) (*net.UnixConn, error)
	Hello Hello  // Purpose is set by the client
	User  string // in whose name it asks
	// Lost tells since when there is no primary; zero: there is one, or it is not
	// known. May be nil.
	Lost func() time.Time
}

var _ control.Control = (*Client)(nil)

// As is the client in the name of another user.
func (c *Client) As(user string) *Client {
	other := *c
	other.User = user
	return &other
}

// Open begins a conversation: it dials and says hello.
func Open(ctx context.Context, dial func(context.Context) (*net.UnixConn, error), h Hello) (*Conn, Welcome, error) {
	var w Welcome
	uc, err := dial(ctx)
	if err != nil {
		return nil, w, unavailable(err)
	}
	conn := NewConn(uc)
	conn.Trust(false)
	h.Protocol = Version
	calm := context.AfterFunc(ctx, func() { _ = conn.Close() })
	err = greet(conn, h, &w)
	if !calm() {
		err = context.Cause(ctx) // the closing may have failed the greeting in any way
	}
	if err != nil {
		_ = conn.Close() // the error tells why
		return nil, w, err
	}
	return conn, w, nil
}

func greet(conn *Conn, h Hello, w *Welcome) error {
	err := conn.Send(HelloTimeout, TypeHello, h)
	if err != nil && !errors.Is(err, syscall.EPIPE) { // closed: a refusal may have come before the hello was sent
		return unavailable(err)
	}
	m, err := conn.Receive(HelloTimeout)
	if err != nil {
		return unavailable(err)
	}
	switch m.Type {
	case TypeWelcome:
		return m.Decode(w)
	case TypeRefused:
		var f control.Error
		return errors.Join(m.Decode(&f), &f)
	}
	return fmt.Errorf("hello was answered by %q", m.Type)
}

// unavailable marks an error of the connection as such.
func unavailable(err error) error {
	if errors.Is(err, control.ErrUnavailable) { // and says more
		return err
	}
	return fmt.Errorf("%w: %w", control.ErrUnavailable, err)
}

// ask sends one request and reads its answer; item is called with each element.
//
// A primary that replaces itself drops the conversations of the image before. One
// that was dropped before the request had been sent, or whose request is harmless
// when repeated, is begun again.
func (c *Client) ask(ctx context.Context, m method, q any, item func(Message) error) (Reply, error) {
	for again := 0; ; again++ {
		var at stage
		r, err := c.askOnce(ctx, m, q, item, &at)
		dropped := errors.Is(err, control.ErrUnavailable) && (at == met || at == asked && !m.once)
		if !dropped || again == maxRepeats || ctx.Err() != nil {
			return r, c.explain(err)
		}
	}
}

// explain says since when there is no primary, where the client knows it.
func (c *Client) explain(err error) error {
	if c.Lost == nil || !errors.Is(err, control.ErrUnavailable) {
		return err
	}
	since := c.Lost()
	if since.IsZero() {
		return err
	}
	return &control.Error{
		Code:    control.ErrUnavailable.Code,
		Message: "no primary since " + since.Format(time.TimeOnly) + "; the workers serve on",
		Hint:    "start the program again on the machine: it takes them over",
	}
}

// maxRepeats bounds how often a dropped conversation is begun again.
const maxRepeats = 3

// stage is how far a conversation has come.
type stage int

const (
	unmet    stage = iota
	met            // the connection has been accepted
	asked          // the request has been sent
	answered       // in part
)

func (c *Client) askOnce(ctx context.Context, m method, q any, item func(Message) error, at *stage) (Reply, error) {
	h := c.Hello
	h.Purpose = PurposeRequest
	dial := func(ctx context.Context) (*net.UnixConn, error) {
		uc, err := c.Dial(ctx)
		if err == nil {
			*at = met
		}
		return uc, err
	}
	conn, _, err := Open(ctx, dial, h)
	if err != nil {
		return Reply{}, cause(ctx, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // closing is the cancel
	raw, err := Encode(m.encode(q))
	if err != nil {
		return Reply{}, fmt.Errorf("request %s: %w", m.name, err)
	}
	if err := conn.Send(SendTimeout, TypeRequest, Request{Method: m.name, User: c.User, Body: raw, Follow: item != nil && m.element == nil}); err != nil {
		return Reply{}, cause(ctx, unavailable(err))
	}
	*at = asked
	r, err := answer(ctx, conn, item, at)
	if err != nil {
		return Reply{}, cause(ctx, err)
	}
	return r, r.Err()
}

// answer reads up to the reply.
func answer(ctx context.Context, conn *Conn, item func(Message) error, at *stage) (Reply, error) {
	for {
		m, err := conn.Receive(patience(ctx, item != nil))
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return Reply{}, fmt.Errorf("%w: the primary did not answer", control.ErrTimeout)
		case err != nil:
			return Reply{}, unavailable(err)
		}
		switch m.Type {
		case TypeReply:
			var r Reply
			return r, m.Decode(&r)
		case TypeItem:
			if item == nil {
				return Reply{}, fmt.Errorf("unexpected %s", m.Type)
			}
			*at = answered
			if err := item(m); err != nil {
				return Reply{}, stopped{err}
			}
		}
	}
}

// patience bounds the wait for the next message.
func patience(ctx context.Context, streamed bool) time.Duration {
	if streamed {
		return 3 * idleEvery
	}
	if until, ok := ctx.Deadline(); ok {
		return max(time.Until(until), time.Millisecond)
	}
	return replyTimeout
}

// stopped is an error of the caller's own callback.
type stopped struct{ error }

func (s stopped) Unwrap() error { return s.error }

// cause prefers the cause of ctx to what its end did to the connection.
func cause(ctx context.Context, err error) error {
	var s stopped
	if errors.As(err, &s) {
		return s.error
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
