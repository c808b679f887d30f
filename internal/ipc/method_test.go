package ipc

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
)

// exchange is one thing to ask: how, the value that the cluster is to see, and
// what a fake answers.
type exchange struct {
	asks    any
	do      func(context.Context, control.Control) (answers, error)
	answers answers
}

// answers is what came of it: its elements and its answer.
type answers struct{ Items, Result any }

func asking[A any](q control.Query[A]) exchange {
	return exchange{q, func(ctx context.Context, c control.Control) (answers, error) {
		a, err := control.Get(ctx, c, q)
		return answers{Result: a}, err
	}, answers{Result: full[A]()}}
}

func watching[E any](q control.Stream[E]) exchange {
	return exchange{q, func(ctx context.Context, c control.Control) (answers, error) {
		var got []E
		err := control.Watch(ctx, c, q, collect(&got))
		return answers{Items: got}, err
	}, answers{Items: filled[E]()}}
}

func doing[Q control.Request]() []exchange {
	r := full[Q]()
	job := full[control.Job]()
	alone := func(ctx context.Context, c control.Control) (answers, error) {
		j, err := c.Do(ctx, r, nil)
		return answers{Result: j}, err
	}
	followed := func(ctx context.Context, c control.Control) (answers, error) {
		var got []control.JobEvent
		j, err := c.Do(ctx, r, collect(&got))
		return answers{got, j}, err
	}
	all := []exchange{{r, followed, answers{filled[control.JobEvent](), job}}}
	if _, follows := any(r).(control.FollowRequest); !follows {
		return append(all, exchange{r, alone, answers{Result: job}})
	}
	all[0].answers.Items = filled[control.JobEvent]()[1:] // it was accepted before
	return all
}

// every is all that can be asked.
var every = slices.Concat(
	[]exchange{
		asking(control.StatusQuery{}), asking(control.WorkersQuery{}), asking(full[control.WorkerQuery]()),
		asking(control.GenerationsQuery{}), asking(control.JobsQuery{}), asking(control.SpecQuery{}), asking(full[control.ChangesQuery]()), asking(control.ConfigQuery{}),
		watching(full[control.LogQuery]()), watching(full[control.EventQuery]()), watching(full[control.CallRequest]()), watching(full[control.TerminalQuery]()),
	},
	doing[control.ScaleRequest](), doing[control.ReloadRequest](), doing[control.ConfigRequest](), doing[control.RollbackRequest](), doing[control.RestartRequest](),
	doing[control.StopRequest](), doing[control.ReviveRequest](), doing[control.RestartWorkerRequest](), doing[control.StopWorkerRequest](),
	doing[control.SignalRequest](), doing[control.ProbedRequest](), doing[control.TerminalRequest](), doing[control.FollowRequest](), doing[control.CancelRequest](),
)

// TestEveryMethod: nothing of a question or an answer is lost on the way.
func TestEveryMethod(t *testing.T) {
	tested := make(map[reflect.Type]bool)
	for _, m := range every {
		tested[reflect.TypeOf(m.asks)] = true
		t.Run(reflect.TypeOf(m.asks).Name(), func(t *testing.T) {
			f := &fake{}
			got, err := m.do(t.Context(), serve(t, f, anyone))
			must(t, err)
			if d := cmp.Diff(m.answers, got); d != "" {
				t.Errorf("answer (-want +got):\n%s", d)
			}
			if d := cmp.Diff([]any{m.asks}, f.asked()); d != "" {
				t.Errorf("asked (-want +got):\n%s", d)
			}
		})
	}
	if len(tested) != len(methods) {
		t.Errorf("%d methods are tested, there are %d", len(tested), len(methods))
	}
}

// TestErrorsCross: every method gives the error of the cluster as it was.
func TestErrorsCross(t *testing.T) {
	fail := &control.Error{Code: control.ErrBusy.Code, Message: "reload by viola runs since 3s", Hint: "job follow 7"}
	for _, m := range every {
		t.Run(reflect.TypeOf(m.asks).Name(), func(t *testing.T) {
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

// TestBodiesOfRequests: they are what a primary and a shell worker of an earlier
// version send and read.
func TestBodiesOfRequests(t *testing.T) {
	for _, test := range []struct {
		q    any
		name string
		body any
	}{
		{control.WorkerQuery{ID: "web/2"}, "worker", "web/2"},
		{control.RestartWorkerRequest{ID: "web/2"}, "restart_worker", "web/2"},
		{control.StopWorkerRequest{ID: "web/2"}, "stop_worker", "web/2"},
		{control.CancelRequest{ID: "7"}, "cancel_job", "7"},
		{control.FollowRequest{ID: "7"}, "follow_job", map[string]string{"id": "7"}},
		{control.ScaleRequest{Pool: "web", To: 3}, "scale", map[string]any{"Pool": "web", "To": 3, "Seen": nil}},
		{control.StatusQuery{}, "status", nil},
	} {
		m, err := methodOf(test.q)
		must(t, err)
		body, err := Encode(test.body)
		must(t, err)
		got, err := m.decode(body)
		must(t, err)
		if d := cmp.Diff(test.q, got); d != "" || m.name != test.name {
			t.Errorf("%s (-want +got):\n%s", m.name, d)
		}
		ours, err := Encode(m.encode(test.q))
		must(t, err)
		var want, have any
		must(t, errors.Join(Decode(ours, &have), decodeBody("", body, &want)))
		if test.body != nil {
			if d := cmp.Diff(want, have); d != "" {
				t.Errorf("%s is sent as (-want +got):\n%s", m.name, d)
			}
		}
	}
}

// TestPrimaryThatDoesNotStream: one of an earlier version answers a request with
// the job, and is then asked how that goes on.
func TestPrimaryThatDoesNotStream(t *testing.T) {
	job := control.Job{ID: "7", State: control.JobRunning}
	var asked []string
	reply := func(conn *Conn, j control.Job) {
		body, err := Encode(j)
		must(t, err)
		_ = conn.Send(soon, TypeReply, Reply{Body: body})
	}
	c := primaries(t, func(conn *Conn, r Request) {
		asked = append(asked, r.Method)
		reply(conn, job)
	}, func(conn *Conn, r Request) {
		asked = append(asked, r.Method)
		_ = conn.Send(soon, TypeItem, control.JobEvent{Seq: 1, Event: control.StepReplaced})
		reply(conn, control.Job{ID: "7", State: control.JobOK})
	})
	var got []control.JobEvent
	j, err := c.Do(t.Context(), control.ReloadRequest{}, collect(&got))
	must(t, err)
	if d := cmp.Diff([]string{methodReload, methodFollowJob}, asked); d != "" || j.State != control.JobOK {
		t.Errorf("job %s; asked (-want +got):\n%s", j.State, d)
	}
	want := []control.JobEvent{{Event: control.StepAccepted, OK: true, Job: &job}, {Seq: 1, Event: control.StepReplaced}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
}

// TestFollowedOverTheNextPrimary: a request is not made twice: the job that was
// accepted is followed, and no event is told twice.
func TestFollowedOverTheNextPrimary(t *testing.T) {
	job := control.Job{ID: "7", State: control.JobRunning}
	var asked []string
	c := primaries(t, func(conn *Conn, r Request) {
		asked = append(asked, r.Method)
		_ = conn.Send(soon, TypeItem, control.JobEvent{Event: control.StepAccepted, Job: &job})
		_ = conn.Send(soon, TypeItem, control.JobEvent{Seq: 1})
	}, func(conn *Conn, r Request) {
		asked = append(asked, r.Method)
		_ = conn.Send(soon, TypeItem, control.JobEvent{Seq: 1})
		_ = conn.Send(soon, TypeItem, control.JobEvent{Seq: 2})
		body, err := Encode(control.Job{ID: "7", State: control.JobOK})
		must(t, err)
		_ = conn.Send(soon, TypeReply, Reply{Body: body})
	})
	var got []int
	j, err := c.Do(t.Context(), control.ReloadRequest{}, func(e control.JobEvent) error { got = append(got, e.Seq); return nil })
	must(t, err)
	if d := cmp.Diff([]string{methodReload, methodFollowJob}, asked); d != "" || j.State != control.JobOK {
		t.Errorf("job %s; asked (-want +got):\n%s", j.State, d)
	}
	if d := cmp.Diff([]int{0, 1, 2}, got); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
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
	for _, m := range methods {
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
