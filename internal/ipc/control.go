package ipc

import (
	"context"
	"errors"

	"github.com/norestart/norestart/control"
)

func (c *Client) Get(ctx context.Context, q any) (any, error) {
	m, err := methodOf(q)
	if err != nil {
		return nil, err
	}
	if m.answer == nil {
		return nil, control.ErrUsage
	}
	r, err := c.ask(ctx, m, q, nil)
	if err != nil {
		return nil, err
	}
	return m.answer(r.Body)
}

// Watch implements [control.Control]. Lines, events and terminals that are followed
// go on under the next primary.
func (c *Client) Watch(ctx context.Context, q any, fn func(any) error) error {
	switch q := q.(type) {
	case control.LogQuery:
		after := q.After
		return following(ctx, q.Follow, func(from control.Cursor, lines int) error {
			q.After, q.Lines = from, lines
			return c.watch(ctx, q, func(x any) error { after = x.(control.LogLine).Cursor; return fn(x) })
		}, &after, q.Lines)
	case control.EventQuery:
		after := q.After
		return following(ctx, q.Follow, func(from control.Cursor, lines int) error {
			q.After, q.Lines = from, lines
			return c.watch(ctx, q, func(x any) error { after = x.(control.Event).Cursor; return fn(x) })
		}, &after, q.Lines)
	case control.TerminalQuery:
		return following(ctx, true, func(from control.Cursor, _ int) error {
			q.After = from
			return c.watch(ctx, q, func(x any) error {
				o := x.(control.TerminalOutput)
				q.After, q.Incarnation = o.Cursor, o.Incarnation
				return fn(x)
			})
		}, &q.After, 0)
	}
	return c.watch(ctx, q, fn)
}

func (c *Client) watch(ctx context.Context, q any, fn func(any) error) error {
	m, err := methodOf(q)
	if err != nil {
		return err
	}
	if m.element == nil {
		return control.ErrUsage
	}
	_, err = c.ask(ctx, m, q, func(item Message) error {
		e, err := m.element(item)
		if err != nil {
			return err
		}
		return fn(e)
	})
	return err
}

// Do implements [control.Control].
//
// A followed job may outlive its primary: the next primary is asked for the whole
// job. No event is told twice.
func (c *Client) Do(ctx context.Context, r control.Request, fn func(control.JobEvent) error) (control.Job, error) {
	if fn == nil {
		return c.do(ctx, r, nil)
	}
	known, _ := r.(control.FollowRequest)
	f := &follower{id: known.ID, fn: fn}
	j, err := c.do(ctx, r, f.event)
	if err == nil && f.id == "" && j.State == control.JobRunning { // a primary that does not stream it
		accepted := j
		if err := f.event(control.JobEvent{Event: control.StepAccepted, OK: true, Job: &accepted}); err != nil {
			return j, err
		}
		err = control.ErrUnavailable
	}
	if f.id == "" || !errors.Is(err, control.ErrUnavailable) {
		return j, err
	}
	err = outlive(ctx, func() (bool, error) {
		before := f.seen
		j, err = c.do(ctx, control.FollowRequest{ID: f.id}, f.event)
		return f.seen > before, err
	})
	return j, err
}

// follower gets the events of one job.
type follower struct {
	id   string // empty: it is not yet accepted
	seen int
	fn   func(control.JobEvent) error
}

func (f *follower) event(e control.JobEvent) error {
	switch {
	case e.Event == control.StepAccepted && f.id == "" && e.Job != nil:
		f.id = e.Job.ID
	case e.Seq <= f.seen:
		return nil
	default:
		f.seen = e.Seq
	}
	return f.fn(e)
}

func (c *Client) do(ctx context.Context, r control.Request, fn func(control.JobEvent) error) (control.Job, error) {
	var j control.Job
	m, err := methodOf(r)
	if err != nil {
		return j, err
	}
	var item func(Message) error
	if fn != nil {
		item = func(m Message) error {
			var e control.JobEvent
			if err := m.Decode(&e); err != nil {
				return err
			}
			return fn(e)
		}
	}
	reply, err := c.ask(ctx, m, r, item)
	if err != nil {
		return j, err
	}
	return j, decodeBody(m.name, reply.Body, &j)
}
