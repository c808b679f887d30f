package builtin

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/commandline"
)

func TestJobEnds(t *testing.T) {
	failed := control.JobEvent{
		Event: "failed", Worker: "web/1", Generation: 3, Error: "exit status 2",
		Text: "worker web/1 failed: exit status 2", Lines: []string{"panic: \x1b[31moh", "goroutine 1"},
	}
	for name, test := range map[string]struct {
		end    control.Job
		status int
		err    string
		ok     string
	}{
		"ok":        {control.Job{State: control.JobOK}, 0, "", "true"},
		"failed":    {control.Job{State: control.JobFailed, Error: "reload web: worker web/1: exit status 2; nothing changed"}, 1, "error: reload web: worker web/1: exit status 2; nothing changed\nhint: log --worker web/1\n", "false"},
		"no reason": {control.Job{ID: "31", State: control.JobFailed}, 1, "error: job 31: failed\nhint: log --worker web/1\n", "false"},
		"cancelled": {control.Job{State: control.JobCancelled, Error: "cancelled: web/0 runs generation 3"}, 130, "error: cancelled: web/0 runs generation 3\nhint: log --worker web/1\n", "false"},
	} {
		f := hello()
		f.events, f.end = append(f.events, failed), test.end
		want := result{test.status, "worker web/0 replaced (1/4)\nworker web/1 failed: exit status 2\n", test.err}
		if diff := cmp.Diff(want, newSession(t, f).do(t.Context(), "reload")); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		got := newSession(t, f).do(t.Context(), "reload --json")
		wantOut := lines(
			`{"event":"replaced","worker":"web/0","generation":2,"ok":true}`,
			`{"event":"failed","worker":"web/1","generation":3,"ok":false,"error":"exit status 2","lines":["panic: \u001b[31moh","goroutine 1"]}`,
			`{"event":"done","job":"31","ok":`+test.ok+`}`)
		if got.Status != test.status || got.Out != wantOut {
			t.Errorf("%s: status %d\n%s", name, got.Status, cmp.Diff(wantOut, got.Out))
		}
	}
}

func TestPrimaryIsLost(t *testing.T) {
	f := hello()
	s := newSession(t, f)
	f.events = append(f.events, control.JobEvent{Text: "last words"})
	broken := &losing{fake: f}
	in := commandline.Invocation{Line: "reload", Role: commands.Admin, Control: broken, Out: &s.out, Err: &s.err}
	status := s.registry.Run(t.Context(), in)
	if want := "error: job 31: no primary\nhint: job follow 31\n"; status != 1 || s.err.String() != want {
		t.Errorf("status %d, %q", status, s.err.String())
	}
}

// losing is a cluster whose primary goes while a job is followed.
type losing struct{ *fake }

func (l *losing) Do(_ context.Context, _ control.Request, fn func(control.JobEvent) error) (control.Job, error) {
	job := control.Job{ID: "31", State: control.JobRunning}
	return job, errors.Join(fn(control.JobEvent{Event: control.StepAccepted, Job: &job}), fmt.Errorf("job 31: %w", control.ErrUnavailable))
}

// whileItRuns starts line, ends its context with cause once the job is
// followed, and returns what came of it and after how long.
func whileItRuns(t *testing.T, s *session, line string, cause error) (result, time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan result, 1)
	go func() { done <- s.do(ctx, line) }()
	synctest.Wait()
	began := time.Now()
	cancel(cause)
	return <-done, time.Since(began)
}

func TestCtrlC(t *testing.T) {
	for _, mode := range []commands.Mode{commands.Exec, commands.Interactive} {
		synctest.Test(t, func(t *testing.T) {
			f := hello()
			f.runs = make(chan struct{})
			f.cancelled = control.Job{ID: "31", State: control.JobCancelled, Error: "cancelled: web/0 runs generation 2"}
			s := newSession(t, f)
			s.in.Mode = mode
			got, _ := whileItRuns(t, s, "reload", nil)
			want := result{130, "worker web/0 replaced (1/4)\n", "error: cancelled: web/0 runs generation 2\n"}
			if mode == commands.Interactive {
				want.Err = "cancelling job 31: it stops after the current worker; press Ctrl-C again to stop waiting\n" + want.Err
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			calls := []string{"reload [] timeout 0s surge 0 keep false", "follow 31", "cancel 31"}
			if diff := cmp.Diff(calls, f.asked()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCancelIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := hello()
		f.runs, f.deaf = make(chan struct{}), true
		got, took := whileItRuns(t, newSession(t, f), "reload", nil)
		want := result{130, "worker web/0 replaced (1/4)\n", "error: job 31 was cancelled 2m 0s ago and still runs\nhint: job follow 31\n"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if took != cancelledWithin {
			t.Errorf("waited %s", took)
		}
	})
}

func TestCancelRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &refusing{hello()}
		f.runs = make(chan struct{})
		s := newSession(t, f.fake)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan int, 1)
		in := commandline.Invocation{Line: "reload", Role: commands.Admin, Control: f, Out: &s.out, Err: &s.err}
		go func() { done <- s.registry.Run(ctx, in) }()
		synctest.Wait()
		cancel()
		want := "error: cancel job 31: denied; it may go on\nhint: job follow 31\n"
		if status := <-done; status != 130 || s.err.String() != want {
			t.Errorf("status %d, %q", status, s.err.String())
		}
	})
}

type refusing struct{ *fake }

func (f *refusing) Do(ctx context.Context, r control.Request, fn func(control.JobEvent) error) (control.Job, error) {
	if _, cancel := r.(control.CancelRequest); cancel {
		return control.Job{}, control.ErrDenied
	}
	return f.fake.Do(ctx, r, fn)
}

// A hang-up, an ended shell worker, a deadline, and somebody who only looks
// leave the job alone.
func TestJobGoesOn(t *testing.T) {
	for _, test := range []struct {
		line  string
		cause error
		want  result
	}{
		{"reload", commandline.ErrHangup, result{130, "worker web/0 replaced (1/4)\n", "error: connection closed; job 31 goes on\nhint: job follow 31\n"}},
		{"reload", fmt.Errorf("session: %w", commandline.ErrHangup), result{130, "worker web/0 replaced (1/4)\n", "error: session: connection closed; job 31 goes on\nhint: job follow 31\n"}},
		{"restart", commandline.ErrShellEnds, result{130, "worker web/0 replaced (1/4)\n", "error: this shell worker is ending; job 31 goes on\nhint: job follow 31\n"}},
		{"stop --yes", commandline.ErrShellEnds, result{0, "worker web/0 replaced (1/4)\n", ""}},
		{"stop --yes", commandline.ErrHangup, result{130, "worker web/0 replaced (1/4)\n", "error: connection closed; job 31 goes on\nhint: job follow 31\n"}},
		{"job follow 31", nil, result{130, "worker web/0 replaced (1/4)\n", ""}},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := hello()
			f.runs = make(chan struct{})
			got, took := whileItRuns(t, newSession(t, f), test.line, test.cause)
			if diff := cmp.Diff(test.want, got); diff != "" || took != 0 {
				t.Errorf("%s, %v: after %s\n%s", test.line, test.cause, took, diff)
			}
			for _, call := range f.asked() {
				if call == "cancel 31" {
					t.Errorf("%s, %v: the job was cancelled", test.line, test.cause)
				}
			}
		})
	}
}

func TestDeadlineLeavesJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := hello()
		f.runs = make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		want := result{124, "worker web/0 replaced (1/4)\n", "error: timed out; job 31 goes on\nhint: job follow 31\n"}
		if diff := cmp.Diff(want, newSession(t, f).do(ctx, "reload")); diff != "" {
			t.Error(diff)
		}
	})
}

// silent is a cluster that never answers.
type silent struct{ *fake }

func (silent) Get(ctx context.Context, _ any) (any, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (silent) Do(ctx context.Context, _ control.Request, _ func(control.JobEvent) error) (control.Job, error) {
	<-ctx.Done()
	return control.Job{}, ctx.Err()
}

func TestClusterIsSilent(t *testing.T) {
	for line, want := range map[string]struct {
		err   string
		after time.Duration
	}{
		"status": {"error: timed out\n", answerWithin},
		"reload": {"error: reload: no answer; it may have been accepted\nhint: job list\n", acceptWithin},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSession(t, hello())
			began := time.Now()
			in := commandline.Invocation{Line: line, Role: commands.Admin, Control: silent{s.control}, Out: &s.out, Err: &s.err}
			if status := s.registry.Run(t.Context(), in); status != 124 || s.err.String() != want.err || time.Since(began) != want.after {
				t.Errorf("%s: status %d after %s: %s", line, status, time.Since(began), s.err.String())
			}
		})
	}
}

func TestFollowStreams(t *testing.T) {
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for _, line := range []string{"log --follow", "events --follow", "log --for 1h"} {
		synctest.Test(t, func(t *testing.T) {
			got, took := whileItRuns(t, newSession(t, eventful(noon)), line, nil)
			if got.Status != 130 || got.Err != "" || got.Out == "" || took != 0 {
				t.Errorf("%s after Ctrl-C: %+v", line, got)
			}
		})
	}
	for _, line := range []string{"log --for 2s", "events --for 2s"} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			got := newSession(t, eventful(noon)).do(t.Context(), line)
			if got.Status != 0 || got.Err != "" || time.Since(began) != 2*time.Second {
				t.Errorf("%s: %+v after %s", line, got, time.Since(began))
			}
		})
	}
}

func TestJobCancel(t *testing.T) {
	f := hello()
	f.end = control.Job{ID: "31", State: control.JobCancelled, Error: "cancelled: web/0 runs generation 2"}
	if got := newSession(t, f).do(t.Context(), "job cancel 31"); got != (result{0, "cancelled: web/0 runs generation 2\n", ""}) {
		t.Errorf("%+v", got)
	}
	f.end.State = control.JobOK
	if got := newSession(t, f).do(t.Context(), "job cancel 31"); got != (result{1, "", "error: job 31 had ended: ok\n"}) {
		t.Errorf("%+v", got)
	}
}
