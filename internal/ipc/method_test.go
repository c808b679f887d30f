package ipc

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
)

// answers is what came of one method: its elements and its answer.
type answers struct{ Items, Result any }

func plain[R any](r R, err error) (answers, error) { return answers{Result: r}, err }

// every is each method of control.Control with its arguments, and what a fake
// answers.
var every = map[string]struct {
	args any
	do   func(context.Context, control.Control) (answers, error)
	want answers
}{
	"Status": {nil, func(ctx context.Context, c control.Control) (answers, error) { return plain(c.Status(ctx)) }, answers{Result: full[control.Status]()}},
	"Workers": {nil, func(ctx context.Context, c control.Control) (answers, error) { return plain(c.Workers(ctx)) }, answers{
		Result: full[[]control.WorkerInfo](),
	}},
	"Worker": {"web/2", func(ctx context.Context, c control.Control) (answers, error) { return plain(c.Worker(ctx, "web/2")) }, answers{
		Result: full[control.WorkerDetail](),
	}},
	"Scale": {full[control.ScaleRequest](), func(ctx context.Context, c control.Control) (answers, error) {
		return plain(c.Scale(ctx, full[control.ScaleRequest]()))
	}, answers{Result: full[control.Job]()}},
	"Reload": {full[control.ReloadRequest](), func(ctx context.Context, c control.Control) (answers, error) {
		return plain(c.Reload(ctx, full[control.ReloadRequest]()))
	}, answers{Result: full[control.Job]()}},
	"Restart": {control.RestartRequest{}, func(ctx context.Context, c control.Control) (answers, error) {
		return plain(c.Restart(ctx, control.RestartRequest{}))
	}, answers{Result: full[control.Job]()}},
	"Stop": {control.StopRequest{}, func(ctx context.Context, c control.Control) (answers, error) {
		return plain(c.Stop(ctx, control.StopRequest{}))
	}, answers{Result: full[control.Job]()}},
	"Revive": {full[control.ReviveRequest](), func(ctx context.Context, c control.Control) (answers, error) {
		return plain(c.Revive(ctx, full[control.ReviveRequest]()))
	}, answers{Result: full[control.Job]()}},
	"RestartWorker": {"web/2", func(ctx context.Context, c control.Control) (answers, error) {
		return plain(c.RestartWorker(ctx, "web/2"))
	}, answers{Result: full[control.Job]()}},
	"StopWorker": {"web/2", func(ctx context.Context, c control.Control) (answers, error) {
		return plain(c.StopWorker(ctx, "web/2"))
	}, answers{Result: full[control.Job]()}},
	"Signal": {full[control.SignalRequest](), func(ctx context.Context, c control.Control) (answers, error) {
		return answers{}, c.Signal(ctx, full[control.SignalRequest]())
	}, answers{}},
	"Jobs": {nil, func(ctx context.Context, c control.Control) (answers, error) { return plain(c.Jobs(ctx)) }, answers{Result: full[[]control.Job]()}},
	"FollowJob": {"7", func(ctx context.Context, c control.Control) (answers, error) {
		var got []control.JobEvent
		j, err := c.FollowJob(ctx, "7", collect(&got))
		return answers{got, j}, err
	}, answers{filled[control.JobEvent](), full[control.Job]()}},
	"CancelJob": {"7", func(ctx context.Context, c control.Control) (answers, error) { return plain(c.CancelJob(ctx, "7")) }, answers{
		Result: full[control.Job](),
	}},
	"Log": {full[control.LogQuery](), func(ctx context.Context, c control.Control) (answers, error) {
		var got []control.LogLine
		return answers{Items: &got}, c.Log(ctx, full[control.LogQuery](), collect(&got))
	}, answers{Items: new(filled[control.LogLine]())}},
	"Events": {full[control.EventQuery](), func(ctx context.Context, c control.Control) (answers, error) {
		var got []control.Event
		return answers{Items: &got}, c.Events(ctx, full[control.EventQuery](), collect(&got))
	}, answers{Items: new(filled[control.Event]())}},
	"Call": {full[control.CallRequest](), func(ctx context.Context, c control.Control) (answers, error) {
		var got []control.CallReply
		return answers{Items: &got}, c.Call(ctx, full[control.CallRequest](), collect(&got))
	}, answers{Items: new(filled[control.CallReply]())}},
	"Rollback": {full[control.RollbackRequest](), func(ctx context.Context, c control.Control) (answers, error) {
		return plain(c.Rollback(ctx, full[control.RollbackRequest]()))
	}, answers{Result: full[control.Job]()}},
	"Generations": {nil, func(ctx context.Context, c control.Control) (answers, error) { return plain(c.Generations(ctx)) }, answers{
		Result: full[[]control.GenerationInfo](),
	}},
	"Spec": {nil, func(ctx context.Context, c control.Control) (answers, error) { return plain(c.Spec(ctx)) }, answers{Result: full[control.Spec]()}},
}

// TestEveryMethod: nothing of a question or an answer is lost on the way.
func TestEveryMethod(t *testing.T) {
	for name, m := range every {
		t.Run(name, func(t *testing.T) {
			f := &fake{}
			got, err := m.do(t.Context(), serve(t, f, anyone))
			must(t, err)
			if d := cmp.Diff(m.want, got); d != "" {
				t.Errorf("answer (-want +got):\n%s", d)
			}
			asked, args := f.asked()
			if d := cmp.Diff([]string{name}, asked); d != "" {
				t.Errorf("asked (-want +got):\n%s", d)
			}
			if d := cmp.Diff(m.args, args); d != "" {
				t.Errorf("argument (-want +got):\n%s", d)
			}
		})
	}
	if len(every) != len(methods()) {
		t.Errorf("%d methods are tested, there are %d", len(every), len(methods()))
	}
}

// TestErrorsCross: every method gives the error of the cluster as it was.
func TestErrorsCross(t *testing.T) {
	fail := &control.Error{Code: control.ErrBusy.Code, Message: "reload by viola runs since 3s", Hint: "job follow 7"}
	for name, m := range every {
		t.Run(name, func(t *testing.T) {
			_, err := m.do(t.Context(), serve(t, &fake{fail: fail}, anyone))
			e, ok := errors.AsType[*control.Error](err)
			if !ok || !errors.Is(err, control.ErrBusy) {
				t.Fatalf("%v, want %v", err, fail)
			}
			if d := cmp.Diff(fail, e); d != "" {
				t.Errorf("error (-want +got):\n%s", d)
			}
		})
	}
}

func TestOwnPoolOnly(t *testing.T) {
	reload := func(pools ...string) Request {
		body, err := Encode(control.ReloadRequest{Pools: pools})
		must(t, err)
		return Request{Method: methodReload, Body: body}
	}
	tests := map[string]struct {
		r  Request
		ok bool
	}{
		"its own":       {reload("web"), true},
		"another":       {reload("jobs"), false},
		"both":          {reload("web", "jobs"), false},
		"twice":         {reload("web", "web"), false},
		"all":           {reload(), false},
		"no body":       {Request{Method: methodReload}, false},
		"not a body":    {Request{Method: methodReload, Body: []byte{0x80}}, false},
		"two names":     {Request{Method: methodReload, Body: append([]byte{0xa2}, "ePools\x81cwebePools\x81djobs"...)}, false},
		"other letters": {Request{Method: methodReload, Body: append([]byte{0xa2}, "ePools\x81cwebepools\x81djobs"...)}, false},
		"status":        {Request{Method: methodStatus}, true},
		"jobs":          {Request{Method: methodJobs}, true},
		"follow":        {Request{Method: methodFollowJob}, true},
	}
	for _, m := range methods() {
		switch m.name {
		case methodReload, methodStatus, methodJobs, methodFollowJob:
		default:
			tests[m.name] = struct {
				r  Request
				ok bool
			}{Request{Method: m.name}, false}
		}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if err := OwnPoolOnly("web", test.r); (err == nil) != test.ok {
				t.Errorf("%v, want allowed: %v", err, test.ok)
			}
		})
	}
}
