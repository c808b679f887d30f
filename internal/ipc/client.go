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

// Status implements [control.Control].
func (c *Client) Status(ctx context.Context) (control.Status, error) {
	return ask[control.Status](ctx, c, methodStatus, nil, nil)
}

// Workers implements [control.Control].
func (c *Client) Workers(ctx context.Context) ([]control.WorkerInfo, error) {
	return ask[[]control.WorkerInfo](ctx, c, methodWorkers, nil, nil)
}

// Worker implements [control.Control].
func (c *Client) Worker(ctx context.Context, id string) (control.WorkerDetail, error) {
	return ask[control.WorkerDetail](ctx, c, methodWorker, id, nil)
}

// Scale implements [control.Control].
func (c *Client) Scale(ctx context.Context, r control.ScaleRequest) (control.Job, error) {
	return ask[control.Job](ctx, c, methodScale, r, nil)
}

// Reload implements [control.Control].
func (c *Client) Reload(ctx context.Context, r control.ReloadRequest) (control.Job, error) {
	return ask[control.Job](ctx, c, methodReload, r, nil)
}

// Rollback implements [control.Control].
func (c *Client) Rollback(ctx context.Context, r control.RollbackRequest) (control.Job, error) {
	return ask[control.Job](ctx, c, methodRollback, r, nil)
}

// Generations implements [control.Control].
func (c *Client) Generations(ctx context.Context) ([]control.GenerationInfo, error) {
	return ask[[]control.GenerationInfo](ctx, c, methodGenerations, nil, nil)
}

// Restart implements [control.Control].
func (c *Client) Restart(ctx context.Context, r control.RestartRequest) (control.Job, error) {
	return ask[control.Job](ctx, c, methodRestart, r, nil)
}

// Stop implements [control.Control].
func (c *Client) Stop(ctx context.Context, r control.StopRequest) (control.Job, error) {
	return ask[control.Job](ctx, c, methodStop, r, nil)
}

// Revive implements [control.Control].
func (c *Client) Revive(ctx context.Context, r control.ReviveRequest) (control.Job, error) {
	return ask[control.Job](ctx, c, methodRevive, r, nil)
}

// RestartWorker implements [control.Control].
func (c *Client) RestartWorker(ctx context.Context, id string) (control.Job, error) {
	return ask[control.Job](ctx, c, methodRestartWorker, id, nil)
}

// StopWorker implements [control.Control].
func (c *Client) StopWorker(ctx context.Context, id string) (control.Job, error) {
	return ask[control.Job](ctx, c, methodStopWorker, id, nil)
}

// Signal implements [control.Control].
func (c *Client) Signal(ctx context.Context, r control.SignalRequest) error {
	_, err := ask[none](ctx, c, methodSignal, r, nil)
	return err
}

// Jobs implements [control.Control].
func (c *Client) Jobs(ctx context.Context) ([]control.Job, error) {
	return ask[[]control.Job](ctx, c, methodJobs, nil, nil)
}

// FollowJob implements [control.Control].
//
// It goes on when the primary is replaced meanwhile, by itself or after a
// crash, and tells no event twice.
func (c *Client) FollowJob(ctx context.Context, id string, fn func(control.JobEvent) error) (control.Job, error) {
	seen := 0
	fresh := func(e control.JobEvent) error {
		if e.Seq <= seen {
			return nil
		}
		seen = e.Seq
		return fn(e)
	}
	var j control.Job
	err := outlive(ctx, func() (bool, error) {
		before := seen
		var err error
		j, err = ask[control.Job](ctx, c, methodFollowJob, follow{ID: id}, each(fresh))
		return seen > before, err
	})
	return j, err
}

// outlive repeats what goes on under the next primary when there is none for a
// while. Whatever makes progress has its whole time again.
func outlive(ctx context.Context, do func() (progress bool, err error)) error {
	var until time.Time
	for {
		progress, err := do()
		if !errors.Is(err, control.ErrUnavailable) || errors.Is(err, os.ErrNotExist) {
			return err
		}
		if until.IsZero() || progress {
			until = time.Now().Add(successorTimeout)
		}
		if time.Now().After(until) {
			return err
		}
		select {
		case <-time.After(successorPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// everything is more than a primary keeps: what the next one has is all new to
// whoever followed the one before.
const everything = 1 << 30

// following reads a stream over the lives of primaries: one that was executed in
// place goes on where it was, one that begins anew is read from its beginning.
func following(ctx context.Context, follow bool, ask func(after control.Cursor, lines int) error, after *control.Cursor, lines int) error {
	if !follow {
		return ask(*after, lines)
	}
	first := *after
	return outlive(ctx, func() (bool, error) {
		before := *after
		if before != first {
			lines = everything
		}
		err := ask(before, lines)
		return *after != before, err
	})
}

const (
	// successorTimeout is how long the next primary may take to come.
	successorTimeout = 10 * time.Second
	successorPause   = 20 * time.Millisecond
)

// CancelJob implements [control.Control].
func (c *Client) CancelJob(ctx context.Context, id string) (control.Job, error) {
	return ask[control.Job](ctx, c, methodCancelJob, id, nil)
}

// Log implements [control.Control].
func (c *Client) Log(ctx context.Context, q control.LogQuery, fn func(control.LogLine) error) error {
	after := q.After
	return following(ctx, q.Follow, func(from control.Cursor, lines int) error {
		q.After, q.Lines = from, lines
		_, err := ask[none](ctx, c, methodLog, q, each(func(x control.LogLine) error { after = x.Cursor; return fn(x) }))
		return err
	}, &after, q.Lines)
}

// Events implements [control.Control].
func (c *Client) Events(ctx context.Context, q control.EventQuery, fn func(control.Event) error) error {
	after := q.After
	return following(ctx, q.Follow, func(from control.Cursor, lines int) error {
		q.After, q.Lines = from, lines
		_, err := ask[none](ctx, c, methodEvents, q, each(func(x control.Event) error { after = x.Cursor; return fn(x) }))
		return err
	}, &after, q.Lines)
}

// Call implements [control.Control].
func (c *Client) Call(ctx context.Context, r control.CallRequest, fn func(control.CallReply) error) error {
	_, err := ask[none](ctx, c, methodCall, r, each(fn))
	return err
}

// Spec implements [control.Control].
func (c *Client) Spec(ctx context.Context) (control.Spec, error) {
	return ask[control.Spec](ctx, c, methodSpec, nil, nil)
}
