package commands

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/norestart/norestart/control"
)

// fake is a Control that answers what it was told to and records what it was
// asked.
type fake struct {
	status  control.Status
	workers []control.WorkerInfo
	detail  control.WorkerDetail
	jobs    []control.Job
	events  []control.JobEvent // of the job that is followed
	end     control.Job        // how it ends
	log     []control.LogLine
	happen  []control.Event
	replies []control.CallReply
	shells  map[string][]control.CallReply // of the admin port, by handler
	admin   string                         // pool of the admin port
	total   int                            // workers that a job has to do
	err     error                          // what every method fails with

	runs      chan struct{} // not nil: the job runs until this is closed …
	cancelled control.Job   // … or it is cancelled, and then ends like this
	deaf      bool          // a cancel is taken note of and nothing follows
	brief     bool          // streams that are followed end by themselves

	mu    sync.Mutex
	calls []string
}

func (f *fake) note(format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
	return f.err
}

func (f *fake) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

func (f *fake) job(format string, args ...any) (control.Job, error) {
	return control.Job{ID: "31", State: control.JobRunning, Total: f.total}, f.note(format, args...)
}

func (f *fake) Status(context.Context) (control.Status, error) { return f.status, f.note("status") }

func (f *fake) Workers(context.Context) ([]control.WorkerInfo, error) {
	return f.workers, f.note("workers")
}

func (f *fake) Worker(_ context.Context, id string) (control.WorkerDetail, error) {
	return f.detail, f.note("worker %s", id)
}

func (f *fake) Scale(_ context.Context, r control.ScaleRequest) (control.Job, error) {
	seen := "-"
	if r.Seen != nil {
		seen = fmt.Sprint(*r.Seen)
	}
	return f.job("scale %s to %d seen %s", r.Pool, r.To, seen)
}

func (f *fake) Reload(_ context.Context, r control.ReloadRequest) (control.Job, error) {
	return f.job("reload %q timeout %s surge %d keep %t", r.Pools, r.Timeout, r.MaxSurge, r.Keep)
}

func (f *fake) Rollback(_ context.Context, r control.RollbackRequest) (control.Job, error) {
	return f.job("rollback %q to %d", r.Pool, r.Generation)
}

func (f *fake) Generations(context.Context) ([]control.GenerationInfo, error) {
	return []control.GenerationInfo{
		{Pool: "web", Number: 1, Kept: control.KeptBinary, Path: "/bin/web", Since: time.Now()},
		{Pool: "web", Number: 2, GivenUp: true, Kept: control.KeptNo, Path: "/bin/web", Since: time.Now()},
		{Pool: "web", Number: 3, Current: true, Workers: 4, Kept: control.KeptBinary, Path: "/bin/web", Since: time.Now()},
	}, f.note("generations")
}

func (f *fake) Restart(_ context.Context, r control.RestartRequest) (control.Job, error) {
	if r.Primary {
		return f.job("restart of the primary")
	}
	return f.job("restart")
}

func (f *fake) Stop(context.Context, control.StopRequest) (control.Job, error) { return f.job("stop") }

func (f *fake) Revive(_ context.Context, r control.ReviveRequest) (control.Job, error) {
	return f.job("revive %q", r.IDs)
}

func (f *fake) RestartWorker(_ context.Context, id string) (control.Job, error) {
	return f.job("restart worker %s", id)
}

func (f *fake) StopWorker(_ context.Context, id string) (control.Job, error) {
	return f.job("stop worker %s", id)
}

func (f *fake) Signal(_ context.Context, r control.SignalRequest) error {
	return f.note("signal %s %s incarnation %d", r.ID, r.Signal, r.Incarnation)
}

func (f *fake) Jobs(context.Context) ([]control.Job, error) { return f.jobs, f.note("jobs") }

func (f *fake) FollowJob(ctx context.Context, id string, fn func(control.JobEvent) error) (control.Job, error) {
	if err := f.note("follow %s", id); err != nil {
		return control.Job{}, err
	}
	for _, e := range f.events {
		if err := fn(e); err != nil {
			return control.Job{}, err
		}
	}
	if f.runs == nil {
		return f.end, nil
	}
	select {
	case <-f.runs:
		return f.cancelled, nil
	case <-ctx.Done():
		return control.Job{}, ctx.Err()
	}
}

func (f *fake) CancelJob(_ context.Context, id string) (control.Job, error) {
	if f.runs != nil && !f.deaf {
		defer close(f.runs)
	}
	return control.Job{ID: id, State: control.JobRunning}, f.note("cancel %s", id)
}

func (f *fake) Log(ctx context.Context, q control.LogQuery, fn func(control.LogLine) error) error {
	if err := f.note("log %q lines %d follow %t", q.Worker, q.Lines, q.Follow); err != nil {
		return err
	}
	return replay(ctx, f.log, q.Follow && !f.brief, fn)
}

func (f *fake) Events(ctx context.Context, q control.EventQuery, fn func(control.Event) error) error {
	if err := f.note("events lines %d follow %t", q.Lines, q.Follow); err != nil {
		return err
	}
	return replay(ctx, f.happen, q.Follow && !f.brief, fn)
}

func replay[T any](ctx context.Context, list []T, follow bool, fn func(T) error) error {
	for _, v := range list {
		if err := fn(v); err != nil {
			return err
		}
	}
	if follow {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (f *fake) Call(_ context.Context, r control.CallRequest, fn func(control.CallReply) error) error {
	if err := f.note("call %s %s %q timeout %s", r.Pool, r.Handler, r.Args, r.Timeout); err != nil {
		return err
	}
	replies := f.replies
	if r.Pool == "shell" {
		replies = f.shells[r.Handler]
	}
	for _, reply := range replies {
		if err := fn(reply); err != nil {
			return err
		}
	}
	return nil
}

func (f *fake) Spec(context.Context) (control.Spec, error) {
	return control.Spec{Admin: f.admin}, f.note("spec")
}

var _ control.Control = (*fake)(nil)

// hello is a cluster of four workers, one of them dead.
func hello() *fake {
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	crash := control.Exit{
		Time: noon, PID: 4710, Generation: 1, Incarnation: 3, Code: -1, Signal: "SIGKILL", OOM: true,
		Uptime: 90 * time.Second, Lines: []string{"bye"},
	}
	ready := control.WorkerInfo{
		ID: "web/0", PID: 4711, Pool: "web", State: control.Ready, Generation: 2, Incarnation: 7,
		Up: 27*time.Hour + 30*time.Minute, Restarts: 1, CPU: 1500 * time.Millisecond, RSS: 84 << 20,
		Connections: 12, Requests: 99, LastExit: &crash,
	}
	dead := control.WorkerInfo{ID: "web/1", Pool: "web", State: control.Dead, Generation: 2}
	shells := map[string][]control.CallReply{}
	shell := control.WorkerInfo{ID: "shell/0", PID: 4720, Pool: "shell", BuiltIn: true, State: control.Ready, Generation: 1}
	answer := func(handler, one, other string) {
		shells[handler] = []control.CallReply{{Worker: "shell/0", Data: []byte(one)}, {Worker: "shell/0 (pid 4719)", Data: []byte(other)}}
	}
	answer(HandlerSessions,
		`[{"id":"0a","user":"viola","role":"admin","via":"ssh","from":"192.0.2.7:99","since":"2026-11-21T12:00:01Z","command":"log --follow","pid":4720}]`,
		`[{"id":"0b","user":"x\u001b[2J","role":"none","via":"tls","from":"192.0.2.8:98","since":"2026-11-21T12:00:00Z","pid":4719}]`)
	answer(HandlerEnd, "0", "1")
	answer(HandlerBlocked,
		`[{"source":"192.0.2.66","until":"2026-11-21T12:00:00Z","failed":14,"users":["admin","root"]}]`,
		`[{"source":"192.0.2.66","until":"2026-11-21T11:59:00Z","failed":9,"users":["admin"]},{"source":"2001:db8::/64","until":"2026-11-21T12:01:00Z","failed":1,"users":[]}]`)
	answer(HandlerUnblock, "1", "0")
	return &fake{
		admin: "shell", shells: shells,
		status: control.Status{
			Name: "hello", Admin: "127.0.0.1:7777",
			Primary: &control.Primary{PID: 4700, Since: noon},
			Pools: []control.PoolStatus{
				{Name: "web", Target: 4, Configured: 3, Ready: 3, Dead: 1, Generation: 2, Listen: []string{"tcp://127.0.0.1:8080"}, LastFailure: "web/1: exit \x1b[31m0"},
				{Name: "shell", BuiltIn: true, Target: 1, Configured: 1, Ready: 1, Generation: 1},
			},
		},
		workers: []control.WorkerInfo{ready, dead, shell},
		detail:  control.WorkerDetail{WorkerInfo: ready, Exits: []control.Exit{crash}, Lines: []string{"a\x1b[2Jb"}},
		events: []control.JobEvent{
			{Event: "replaced", Worker: "web/0", Generation: 2, OK: true, Text: "worker web/0 replaced (1/4)"},
		},
		total: 4,
		end:   control.Job{ID: "31", State: control.JobOK},
	}
}

// session runs lines against a fake as a user would.
type session struct {
	registry *Registry
	control  *fake
	in       Invocation // what it has beside Line, Control, Out, Err
	out, err bytes.Buffer
}

func newSession(t testing.TB, f *fake, custom ...Command) *session {
	t.Helper()
	r, err := NewRegistry(Builtin("1.2.3"), custom...)
	if err != nil {
		t.Fatal(err)
	}
	return &session{registry: r, control: f, in: Invocation{User: "viola", Role: Admin}}
}

// answers has the session answer questions, then end its input.
func (s *session) answers(lines ...string) {
	s.in.Ask = func(_ context.Context, prompt string) (string, error) {
		s.err.WriteString(prompt + "\n")
		if len(lines) == 0 {
			return "", io.EOF
		}
		line := lines[0]
		lines = lines[1:]
		return line, nil
	}
}

func (s *session) run(ctx context.Context, line string) int {
	in := s.in
	in.Line, in.Control, in.Out, in.Err = line, s.control, &s.out, &s.err
	return s.registry.Run(ctx, in)
}

// result is what came of a line.
type result struct {
	Status   int
	Out, Err string
}

func (s *session) do(ctx context.Context, line string) result {
	s.out.Reset()
	s.err.Reset()
	status := s.run(ctx, line)
	return result{status, s.out.String(), s.err.String()}
}

func lines(l ...string) string { return strings.Join(l, "\n") + "\n" }
