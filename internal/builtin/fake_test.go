package builtin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/commandline"
	"github.com/norestart/norestart/internal/sessions"
)

// fake is a Control that answers what it was told to and records what it was
// asked.
type fake struct {
	status   control.Status
	workers  []control.WorkerInfo
	detail   control.WorkerDetail
	differs  []control.PoolChanges // of the configuration
	jobs     []control.Job
	events   []control.JobEvent // of the job that is followed
	end      control.Job        // how it ends
	log      []control.LogLine
	happen   []control.Event
	replies  []control.CallReply
	modules  []control.CallReply            // of every worker
	switched []control.CallReply            // as modules, to the word to switch
	shells   map[string][]control.CallReply // of the admin port, by handler
	admin    string                         // pool of the admin port
	total    int                            // workers that a job has to do
	err      error                          // what every method fails with
	inWay    []string                       // jobs that are in the way, one after the other
	onWait   func()                         // called when the job in the way has ended

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

func (f *fake) begins(format string, args ...any) error {
	err := f.note(format, args...)
	if len(f.inWay) > 0 {
		err = &control.Error{Code: "busy", Message: "reload by viola has been running for 3s (job " + f.inWay[0] + ")", Hint: "job follow " + f.inWay[0], Job: f.inWay[0]}
	}
	return err
}

func (f *fake) Get(_ context.Context, q any) (any, error) {
	switch q := q.(type) {
	case control.StatusQuery:
		return f.status, f.note("status")
	case control.WorkersQuery:
		return f.workers, f.note("workers")
	case control.WorkerQuery:
		return f.detail, f.note("worker %s", q.ID)
	case control.GenerationsQuery:
		return []control.GenerationInfo{
			{Pool: "web", Number: 1, Kept: control.KeptBinary, Path: "/bin/web", Since: time.Now()},
			{Pool: "web", Number: 2, GivenUp: true, Kept: control.KeptNo, Path: "/bin/web", Since: time.Now()},
			{Pool: "web", Number: 3, Current: true, Workers: 4, Kept: control.KeptBinary, Path: "/bin/web", Since: time.Now()},
		}, f.note("generations")
	case control.JobsQuery:
		return f.jobs, f.note("jobs")
	case control.SpecQuery:
		return control.Spec{Admin: f.admin}, f.note("spec")
	case control.ConfigQuery:
		return f.differs, f.note("config changes")
	case control.ChangesQuery:
		return []control.PoolChanges{{Pool: "web", Workers: 4, Changes: []control.Change{
			{Key: "program", From: "/bin/a", To: "/bin/a"},
			{Key: "env.NEW", To: "***"},
			{Key: "env.OLD", From: "***"},
			{Key: "env.TOKEN", From: "***", To: "***"},
			{Key: "dir", From: "/a", To: "/b"},
			{Key: "umask"},
		}}, {Pool: "jobs", Workers: 1}}, f.note("changes %q", q.Pools)
	}
	return nil, control.ErrUsage
}

func (f *fake) Do(ctx context.Context, r control.Request, fn func(control.JobEvent) error) (control.Job, error) {
	var err error
	job := control.Job{ID: "31", State: control.JobRunning, Total: f.total}
	switch r := r.(type) {
	case control.ScaleRequest:
		seen := "-"
		if r.Seen != nil {
			seen = fmt.Sprint(*r.Seen)
		}
		err = f.begins("scale %s to %d seen %s", r.Pool, r.To, seen)
	case control.ReloadRequest:
		err = f.begins("reload %q timeout %s surge %d keep %t", r.Pools, r.Timeout, r.MaxSurge, r.Keep)
	case control.ConfigRequest:
		err = f.begins("config reload")
	case control.RollbackRequest:
		err = f.begins("rollback %q to %d", r.Pool, r.Generation)
	case control.RestartRequest:
		if r.Primary {
			err = f.begins("restart of the primary")
			break
		}
		err = f.begins("restart")
	case control.StopRequest:
		err = f.begins("stop")
	case control.ReviveRequest:
		err = f.begins("revive %q", r.IDs)
	case control.RestartWorkerRequest:
		err = f.begins("restart worker %s", r.ID)
	case control.StopWorkerRequest:
		err = f.begins("stop worker %s", r.ID)
	case control.SignalRequest:
		return control.Job{}, f.note("signal %s %s incarnation %d", r.ID, r.Signal, r.Incarnation)
	case control.CancelRequest:
		if f.runs != nil && !f.deaf {
			defer close(f.runs)
		}
		return control.Job{ID: r.ID, State: control.JobRunning}, f.note("cancel %s", r.ID)
	case control.FollowRequest:
		return f.follow(ctx, r.ID, fn)
	}
	if err != nil || fn == nil {
		return job, err
	}
	if err := fn(control.JobEvent{Event: control.StepAccepted, OK: true, Job: &job}); err != nil {
		return job, err
	}
	_ = f.note("follow %s", job.ID) // in the same conversation
	return f.goesOn(ctx, fn)
}

func (f *fake) follow(ctx context.Context, id string, fn func(control.JobEvent) error) (control.Job, error) {
	if err := f.note("follow %s", id); err != nil {
		return control.Job{}, err
	}
	if len(f.inWay) > 0 {
		if f.inWay = f.inWay[1:]; f.onWait != nil {
			f.onWait()
		}
		return control.Job{}, control.ErrNoJob
	}
	return f.goesOn(ctx, fn)
}

func (f *fake) goesOn(ctx context.Context, fn func(control.JobEvent) error) (control.Job, error) {
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

func (f *fake) Watch(ctx context.Context, q any, fn func(any) error) error {
	switch q := q.(type) {
	case control.LogQuery:
		if err := f.note("log %q lines %d follow %t", q.Worker, q.Lines, q.Follow); err != nil {
			return err
		}
		return replay(ctx, f.log, q.Follow && !f.brief, fn)
	case control.EventQuery:
		if err := f.note("events lines %d follow %t", q.Lines, q.Follow); err != nil {
			return err
		}
		return replay(ctx, f.happen, q.Follow && !f.brief, fn)
	case control.TerminalQuery:
		if err := f.note("terminal %s", q.ID); err != nil {
			return err
		}
		return fn(control.TerminalOutput{Cursor: control.Cursor{Epoch: 1, Seq: 2}, Incarnation: 7, PID: 4242, Data: []byte("> ")})
	case control.CallRequest:
		if err := f.note("call %s %s %q timeout %s", q.Pool, q.Handler, q.Args, q.Timeout); err != nil {
			return err
		}
		replies := f.replies
		if strings.HasPrefix(q.Handler, control.HandlerPrefix) {
			replies = f.modules
		}
		if q.Handler == control.HandlerModuleSwitch && f.switched != nil {
			replies = f.switched
		}
		if q.Pool == "shell" {
			replies = f.shells[q.Handler]
		}
		return replay(ctx, replies, false, fn)
	}
	return control.ErrUsage
}

func replay[T any](ctx context.Context, list []T, follow bool, fn func(any) error) error {
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
	answer(sessions.HandlerList,
		`[{"id":"0a","user":"viola","role":"admin","via":"ssh","from":"192.0.2.7:99","since":"2026-11-21T12:00:01Z","command":"log --follow","pid":4720}]`,
		`[{"id":"0b","user":"x\u001b[2J","role":"none","via":"tls","from":"192.0.2.8:98","since":"2026-11-21T12:00:00Z","pid":4719}]`)
	answer(sessions.HandlerEnd, "0", "1")
	answer(sessions.HandlerBlocked,
		`[{"source":"192.0.2.66","until":"2026-11-21T12:00:00Z","failed":14,"users":["admin","root"]}]`,
		`[{"source":"192.0.2.66","until":"2026-11-21T11:59:00Z","failed":9,"users":["admin"]},{"source":"2001:db8::/64","until":"2026-11-21T12:01:00Z","failed":1,"users":[]}]`)
	answer(sessions.HandlerUnblock, "1", "0")
	return &fake{
		admin: "shell", shells: shells,
		modules: []control.CallReply{{Worker: "web/0", Data: []byte(oneModule)}},
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
	registry *commandline.Registry
	control  *fake
	in       commandline.Invocation // what it has beside Line, Control, Out, Err
	out, err bytes.Buffer
}

func newSession(t testing.TB, f *fake, custom ...commands.Command) *session {
	t.Helper()
	r, err := commandline.NewRegistry(Commands("1.2.3"), custom...)
	if err != nil {
		t.Fatal(err)
	}
	return &session{registry: r, control: f, in: commandline.Invocation{User: "viola", Role: commands.Admin, Audit: auditLog}}
}

// auditLog is one that somebody wrote into.
func auditLog(since time.Time, each func([]byte) error) error {
	for i, line := range []string{
		`"event":"login","via":"ssh","user":"viola","from":"192.0.2.1:5","reason":"publickey"`,
		`"event":"start","via":"ssh","user":"viola","argv":["scale","web","2"]`,
		`"event":"end","via":"ssh","user":"viola","argv":["scale","web","2"],"status":0`,
		`"event":"denied","via":"tls","user":"vera","argv":["stop","\u202e"],"status":77`,
		`"event":"more","via":"ssh","user":"vera","reason":"within 1m0s: foo 4985","count":4985`,
	} {
		at := time.Now().Add(time.Duration(i-5) * time.Hour)
		if err := each(fmt.Appendf(nil, `{"time":%q,%s}`, at.Format(time.RFC3339), line)); err != nil {
			return err
		}
	}
	return nil
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
