package ipc

import (
	"context"

	"github.com/norestart/norestart/control"
)

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
