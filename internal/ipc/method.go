package ipc

import (
	"context"
	"fmt"

	"github.com/norestart/norestart/control"
)

// emit sends one element of a streamed answer.
type emit func(item any) error

// method is how one method of [control.Control] is asked for over the wire.
type method struct {
	name string
	run  func(ctx context.Context, c control.Control, body []byte, out emit) (any, error)
}

// none is the argument or the answer of a method that has none.
type none struct{}

// follow is the argument of follow_job.
type follow struct {
	ID string `cbor:"id"`
}

// The methods by name. The client asks with the same entries that the server
// answers by, so that neither can have one the other lacks.
const (
	methodStatus        = "status"
	methodWorkers       = "workers"
	methodWorker        = "worker"
	methodScale         = "scale"
	methodReload        = "reload"
	methodRollback      = "rollback"
	methodGenerations   = "generations"
	methodRestart       = "restart"
	methodStop          = "stop"
	methodRevive        = "revive"
	methodRestartWorker = "restart_worker"
	methodStopWorker    = "stop_worker"
	methodSignal        = "signal"
	methodJobs          = "jobs"
	methodFollowJob     = "follow_job"
	methodCancelJob     = "cancel_job"
	methodLog           = "log"
	methodEvents        = "events"
	methodCall          = "call"
	methodSpec          = "spec"
)

func methods() []method {
	return []method{
		unary(methodStatus, func(c control.Control, ctx context.Context, _ none) (control.Status, error) { return c.Status(ctx) }),
		unary(methodWorkers, func(c control.Control, ctx context.Context, _ none) ([]control.WorkerInfo, error) {
			return c.Workers(ctx)
		}),
		unary(methodWorker, control.Control.Worker),
		unary(methodScale, control.Control.Scale),
		unary(methodReload, control.Control.Reload),
		unary(methodRollback, control.Control.Rollback),
		unary(methodGenerations, func(c control.Control, ctx context.Context, _ none) ([]control.GenerationInfo, error) {
			return c.Generations(ctx)
		}),
		unary(methodRestart, control.Control.Restart),
		unary(methodStop, control.Control.Stop),
		unary(methodRevive, control.Control.Revive),
		unary(methodRestartWorker, control.Control.RestartWorker),
		unary(methodStopWorker, control.Control.StopWorker),
		unary(methodSignal, func(c control.Control, ctx context.Context, r control.SignalRequest) (none, error) {
			return none{}, c.Signal(ctx, r)
		}),
		unary(methodJobs, func(c control.Control, ctx context.Context, _ none) ([]control.Job, error) { return c.Jobs(ctx) }),
		unary(methodCancelJob, control.Control.CancelJob),
		unary(methodSpec, func(c control.Control, ctx context.Context, _ none) (control.Spec, error) { return c.Spec(ctx) }),
		stream(methodFollowJob, func(c control.Control, ctx context.Context, f follow, fn func(control.JobEvent) error) (control.Job, error) {
			return c.FollowJob(ctx, f.ID, fn)
		}),
		stream(methodLog, func(c control.Control, ctx context.Context, q control.LogQuery, fn func(control.LogLine) error) (none, error) {
			return none{}, c.Log(ctx, q, fn)
		}),
		stream(methodEvents, func(c control.Control, ctx context.Context, q control.EventQuery, fn func(control.Event) error) (none, error) {
			return none{}, c.Events(ctx, q, fn)
		}),
		stream(methodCall, func(c control.Control, ctx context.Context, r control.CallRequest, fn func(control.CallReply) error) (none, error) {
			return none{}, c.Call(ctx, r, fn)
		}),
	}
}

func unary[Q, R any](name string, f func(control.Control, context.Context, Q) (R, error)) method {
	return method{name, func(ctx context.Context, c control.Control, body []byte, _ emit) (any, error) {
		var q Q
		if err := decodeBody(name, body, &q); err != nil {
			return nil, err
		}
		return f(c, ctx, q)
	}}
}

func stream[Q, I, R any](name string, f func(control.Control, context.Context, Q, func(I) error) (R, error)) method {
	return method{name, func(ctx context.Context, c control.Control, body []byte, out emit) (any, error) {
		var q Q
		if err := decodeBody(name, body, &q); err != nil {
			return nil, err
		}
		return f(c, ctx, q, func(i I) error { return out(i) })
	}}
}

func decodeBody(name string, body []byte, v any) error {
	if len(body) == 0 {
		return nil
	}
	if err := decoding.Unmarshal(body, v); err != nil {
		return &control.Error{Code: control.ErrUsage.Code, Message: fmt.Sprintf("request %s: %v", name, err)}
	}
	return nil
}
