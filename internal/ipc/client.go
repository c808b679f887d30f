package ipc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/norestart/norestart/control"
)

// ReplyTimeout is how long a request that is not streamed may take when its
// context has no deadline.
const ReplyTimeout = 10 * time.Second

// Client is a [control.Control] over the primary's sockets. Its zero value is
// of no use: set Dial.
type Client struct {
	Dial  func(ctx context.Context) (*net.UnixConn, error)
	Hello Hello  // Purpose is set by the client
	User  string // in whose name it asks
	// Lost tells since when there is no primary; zero: there is one, or nobody
	// knows. May be nil.
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
		err = context.Cause(ctx) // whatever closing did to the greeting
	}
	if err != nil {
		_ = conn.Close() // the error tells why
		return nil, w, err
	}
	return conn, w, nil
}

func greet(conn *Conn, h Hello, w *Welcome) error {
	if err := conn.Send(HelloTimeout, TypeHello, h); err != nil {
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
		var f Failure
		return errors.Join(m.Decode(&f), f.Err())
	}
	return fmt.Errorf("hello was answered by %q", m.Type)
}

// unavailable is an error of the connection as the caller knows it: nobody is
// there to answer.
func unavailable(err error) error {
	if errors.Is(err, control.ErrUnavailable) { // and knows more
		return err
	}
	return fmt.Errorf("%w: %w", control.ErrUnavailable, err)
}

// ask sends one request and reads its answer; item is called with each element.
//
// A primary that replaces itself drops the conversations of the image before.
// One that was dropped before the request had been sent, or whose request does
// no harm when it is repeated, is begun again.
func ask[R any](ctx context.Context, c *Client, method string, body any, item func(Message) error) (R, error) {
	for again := 0; ; again++ {
		var at stage
		r, err := askOnce[R](ctx, c, method, body, item, &at)
		dropped := errors.Is(err, control.ErrUnavailable) && (at == met || at == asked && item == nil && repeatable(method))
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
	unmet stage = iota
	met         // somebody has accepted the connection
	asked       // the request has been sent
)

// repeatable tells whether a request only looks, or states a wish that is the
// same the second time.
func repeatable(method string) bool {
	switch method {
	case methodReload, methodRollback, methodRestart, methodStop, methodRestartWorker, methodSignal:
		return false
	}
	return true
}

func askOnce[R any](ctx context.Context, c *Client, method string, body any, item func(Message) error, at *stage) (R, error) {
	var result R
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
		return result, cause(ctx, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // closing is the cancel
	raw, err := Encode(body)
	if err != nil {
		return result, fmt.Errorf("request %s: %w", method, err)
	}
	if err := conn.Send(SendTimeout, TypeRequest, Request{Method: method, User: c.User, Body: raw}); err != nil {
		return result, cause(ctx, unavailable(err))
	}
	*at = asked
	r, err := answer(ctx, conn, item)
	if err != nil {
		return result, cause(ctx, err)
	}
	if err := r.Failure.Err(); err != nil {
		return result, err
	}
	return result, decodeBody(method, r.Body, &result)
}

// answer reads up to the reply.
func answer(ctx context.Context, conn *Conn, item func(Message) error) (Reply, error) {
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
			if err := item(m); err != nil {
				return Reply{}, stopped{err}
			}
		}
	}
}

// patience is how long to wait for the next message.
func patience(ctx context.Context, streamed bool) time.Duration {
	if streamed {
		return 3 * idleEvery
	}
	if until, ok := ctx.Deadline(); ok {
		return max(time.Until(until), time.Millisecond)
	}
	return ReplyTimeout
}

// stopped is an error of the caller's own callback.
type stopped struct{ error }

func (s stopped) Unwrap() error { return s.error }

// cause prefers our own context to what its end did to the connection.
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

// each decodes every element for fn.
func each[I any](fn func(I) error) func(Message) error {
	return func(m Message) error {
		var i I
		if err := m.Decode(&i); err != nil {
			return err
		}
		return fn(i)
	}
}
