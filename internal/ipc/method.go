package ipc

import (
	"context"
	"fmt"
	"reflect"

	"github.com/norestart/norestart/control"
)

// method is how a query, a stream or a request of package control travels.
type method struct {
	name    string
	of      reflect.Type // of the value that asks
	once    bool         // not to be repeated: that may do harm, or its caller resumes it
	encode  func(q any) any
	decode  func(body []byte) (q any, err error)
	run     func(ctx context.Context, c control.Control, q any, follow bool, out emit) (any, error)
	answer  func(body []byte) (any, error)
	element func(Message) (any, error)
}

// emit sends one element of a streamed answer.
type emit func(item any) error

// noAnswer is what a stream returns besides its elements.
type noAnswer struct{}

// Methods that the right of a pool names, see [OwnPoolOnly].
const (
	methodStatus    = "status"
	methodReload    = "reload"
	methodJobs      = "jobs"
	methodFollowJob = "follow_job"
)

// methods is the table of all that can be asked, for both client and server.
var methods = []method{
	get[control.StatusQuery](methodStatus),
	get[control.WorkersQuery]("workers"),
	byID[control.WorkerQuery](get[control.WorkerQuery]("worker")),
	get[control.GenerationsQuery]("generations"),
	get[control.JobsQuery](methodJobs),
	get[control.SpecQuery]("spec"),
	get[control.ChangesQuery]("changes"),
	get[control.ConfigQuery]("config_changes"),
	watch[control.LogQuery]("log"),
	watch[control.EventQuery]("events"),
	watch[control.CallRequest]("call"),
	watch[control.TerminalQuery]("terminal"),
	do[control.ScaleRequest]("scale"),
	once(do[control.ReloadRequest](methodReload)),
	once(do[control.ConfigRequest]("config_reload")),
	once(do[control.RollbackRequest]("rollback")),
	once(do[control.RestartRequest]("restart")),
	once(do[control.StopRequest]("stop")),
	do[control.ReviveRequest]("revive"),
	once(byID[control.RestartWorkerRequest](do[control.RestartWorkerRequest]("restart_worker"))),
	byID[control.StopWorkerRequest](do[control.StopWorkerRequest]("stop_worker")),
	once(do[control.SignalRequest]("signal")),
	once(do[control.ProbedRequest]("probed")),
	once(do[control.TerminalRequest]("type")),
	once(do[control.FollowRequest](methodFollowJob)),
	byID[control.CancelRequest](do[control.CancelRequest]("cancel_job")),
}

func methodNamed(name string) (method, error) {
	for _, m := range methods {
		if m.name == name {
			return m, nil
		}
	}
	return method{}, fmt.Errorf("%w: the primary knows no method %q", control.ErrUsage, name)
}

func methodOf(q any) (method, error) {
	for _, m := range methods {
		if m.of == reflect.TypeOf(q) {
			return m, nil
		}
	}
	return method{}, fmt.Errorf("%w: no primary can be asked by %T", control.ErrUsage, q)
}

func get[Q control.Query[A], A any](name string) method {
	m := travels[Q](name)
	m.answer = decodeAs[A](name)
	m.run = func(ctx context.Context, c control.Control, q any, _ bool, _ emit) (any, error) { return c.Get(ctx, q) }
	return m
}

func watch[Q control.Stream[E], E any](name string) method {
	m := once(travels[Q](name))
	m.element = func(m Message) (any, error) {
		var e E
		err := m.Decode(&e)
		return e, err
	}
	m.run = func(ctx context.Context, c control.Control, q any, _ bool, out emit) (any, error) {
		return noAnswer{}, c.Watch(ctx, q, out)
	}
	return m
}

func do[Q control.Request](name string) method {
	m := travels[Q](name)
	m.run = func(ctx context.Context, c control.Control, q any, follow bool, out emit) (any, error) {
		if !follow && name != methodFollowJob {
			return c.Do(ctx, q.(Q), nil)
		}
		return c.Do(ctx, q.(Q), func(e control.JobEvent) error { return out(e) })
	}
	return m
}

func travels[Q any](name string) method {
	return method{name: name, of: reflect.TypeFor[Q](), encode: func(q any) any { return q }, decode: decodeAs[Q](name)}
}

func once(m method) method {
	m.once = true
	return m
}

// byID sends a request that has only an ID as a text.
func byID[Q ~struct{ ID string }](m method) method {
	m.encode = func(q any) any { return struct{ ID string }(q.(Q)).ID }
	m.decode = func(body []byte) (any, error) {
		var id string
		err := decodeBody(m.name, body, &id)
		return Q(struct{ ID string }{id}), err
	}
	return m
}

func decodeAs[T any](name string) func([]byte) (any, error) {
	return func(body []byte) (any, error) {
		var v T
		err := decodeBody(name, body, &v)
		return v, err
	}
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
