package ipc

import (
	"context"
	"sync"

	"github.com/norestart/norestart/control"
)

// fake records what it is asked and answers with values that are full.
type fake struct {
	fail error // what every method returns, after its elements

	mu   sync.Mutex // protects asked
	ask  []string
	last any
}

var _ control.Control = (*fake)(nil)

func (f *fake) note(method string, args any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ask, f.last = append(f.ask, method), args
}

// asked is what was asked, and the last argument.
func (f *fake) asked() ([]string, any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ask, f.last
}

// given answers a method.
func given[R any](f *fake, method string, args any) (R, error) {
	f.note(method, args)
	var r R
	if f.fail != nil {
		return r, f.fail
	}
	fill(&r)
	return r, nil
}

// items answers a method with elements.
func items[I any](f *fake, method string, args any, fn func(I) error) error {
	f.note(method, args)
	for _, i := range filled[I]() {
		if err := fn(i); err != nil {
			return err
		}
	}
	return f.fail
}

func (f *fake) Status(context.Context) (control.Status, error) {
	return given[control.Status](f, "Status", nil)
}

func (f *fake) Workers(context.Context) ([]control.WorkerInfo, error) {
	return given[[]control.WorkerInfo](f, "Workers", nil)
}

func (f *fake) Worker(_ context.Context, id string) (control.WorkerDetail, error) {
	return given[control.WorkerDetail](f, "Worker", id)
}

func (f *fake) Scale(_ context.Context, r control.ScaleRequest) (control.Job, error) {
	return given[control.Job](f, "Scale", r)
}

func (f *fake) Reload(_ context.Context, r control.ReloadRequest) (control.Job, error) {
	return given[control.Job](f, "Reload", r)
}

func (f *fake) Rollback(_ context.Context, r control.RollbackRequest) (control.Job, error) {
	return given[control.Job](f, "Rollback", r)
}

func (f *fake) Generations(context.Context) ([]control.GenerationInfo, error) {
	return given[[]control.GenerationInfo](f, "Generations", nil)
}

func (f *fake) Restart(_ context.Context, r control.RestartRequest) (control.Job, error) {
	return given[control.Job](f, "Restart", r)
}

func (f *fake) Stop(_ context.Context, r control.StopRequest) (control.Job, error) {
	return given[control.Job](f, "Stop", r)
}

func (f *fake) Revive(_ context.Context, r control.ReviveRequest) (control.Job, error) {
	return given[control.Job](f, "Revive", r)
}

func (f *fake) RestartWorker(_ context.Context, id string) (control.Job, error) {
	return given[control.Job](f, "RestartWorker", id)
}

func (f *fake) StopWorker(_ context.Context, id string) (control.Job, error) {
	return given[control.Job](f, "StopWorker", id)
}

func (f *fake) Signal(_ context.Context, r control.SignalRequest) error {
	f.note("Signal", r)
	return f.fail
}

func (f *fake) Jobs(context.Context) ([]control.Job, error) {
	return given[[]control.Job](f, "Jobs", nil)
}

func (f *fake) FollowJob(_ context.Context, id string, fn func(control.JobEvent) error) (control.Job, error) {
	if err := items(f, "FollowJob", id, fn); err != nil {
		return control.Job{}, err
	}
	var j control.Job
	fill(&j)
	return j, nil
}

func (f *fake) CancelJob(_ context.Context, id string) (control.Job, error) {
	return given[control.Job](f, "CancelJob", id)
}

func (f *fake) Log(_ context.Context, q control.LogQuery, fn func(control.LogLine) error) error {
	return items(f, "Log", q, fn)
}

func (f *fake) Events(_ context.Context, q control.EventQuery, fn func(control.Event) error) error {
	return items(f, "Events", q, fn)
}

func (f *fake) Call(_ context.Context, r control.CallRequest, fn func(control.CallReply) error) error {
	return items(f, "Call", r, fn)
}

func (f *fake) Spec(context.Context) (control.Spec, error) {
	return given[control.Spec](f, "Spec", nil)
}

// streaming is a cluster whose log does what a test says.
type streaming struct {
	fake
	log func(ctx context.Context, fn func(control.LogLine) error) error
}

func (s *streaming) Log(ctx context.Context, _ control.LogQuery, fn func(control.LogLine) error) error {
	return s.log(ctx, fn)
}

// full is a value with nothing left out.
func full[T any]() T {
	var v T
	fill(&v)
	return v
}

// filled are some of them; those of a job are numbered, or they would be taken
// for the same one told again.
func filled[T any]() []T {
	all := []T{full[T](), full[T](), full[T]()}
	for i := range all {
		if e, ok := any(&all[i]).(*control.JobEvent); ok {
			e.Seq = i + 1
		}
	}
	return all
}
