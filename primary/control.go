package primary

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/proc"
)

// as is the cluster in the name of a user.
type as struct {
	p      *Primary
	user   string
	worker uint64 // the incarnation that asks; 0: it is no worker
}

var _ control.Control = as{}

// errEnded is what a request gets that comes after the end.
var errEnded = control.ErrStopping

// ask lets the loop answer. The answer is a value of its own: nothing in it is
// shared with the loop.
func ask[R any](ctx context.Context, p *Primary, f func(*loop) (R, error)) (R, error) {
	type answer struct {
		r   R
		err error
	}
	var zero R
	reply := make(chan answer, 1)
	ok := p.post(func(l *loop) {
		r, err := f(l)
		reply <- answer{r, err}
	})
	if !ok {
		return zero, errEnded
	}
	select {
	case a := <-reply:
		return a.r, a.err
	case <-p.ended:
		return zero, errEnded
	case <-ctx.Done():
		return zero, context.Cause(ctx)
	}
}

// askJob starts a job and returns it as it is then.
func (a as) askJob(ctx context.Context, f func(*loop) (*job, error)) (control.Job, error) {
	return ask(ctx, a.p, func(l *loop) (control.Job, error) {
		j, err := f(l)
		if err != nil {
			return control.Job{}, err
		}
		return j.value(), nil
	})
}

// value is the job without what belongs to the loop.
func (j *job) value() control.Job {
	v := j.Job
	v.Pools = append([]string(nil), j.Pools...)
	return v
}

// Status implements [control.Control].
func (a as) Status(ctx context.Context) (control.Status, error) {
	onDisk := a.p.cfg.onDisk()
	return ask(ctx, a.p, func(l *loop) (control.Status, error) {
		st := control.Status{
			Name: l.cfg.Spec.Name, Version: l.cfg.Version, Admin: l.admin(), Jobs: []control.Job{},
			Primary: &control.Primary{PID: l.cfg.PID, Since: l.since},
		}
		for _, p := range l.pools {
			ps := p.status()
			ps.Differs = p.differs(l.cfg, onDisk)
			st.Pools = append(st.Pools, ps)
		}
		for _, j := range l.running() {
			st.Jobs = append(st.Jobs, j.value())
		}
		return st, nil
	})
}

// Workers implements [control.Control].
func (a as) Workers(ctx context.Context) ([]control.WorkerInfo, error) {
	workers, err := ask(ctx, a.p, func(l *loop) ([]control.WorkerInfo, error) {
		all := []control.WorkerInfo{}
		for _, p := range l.pools {
			for _, s := range p.seats {
				if s.visible() {
					all = append(all, brief(s.info(time.Now())))
				}
			}
		}
		return all, nil
	})
	for i := range workers {
		measure(&workers[i])
	}
	return workers, err
}

// brief leaves out what would make a list of many workers larger than a message.
func brief(w control.WorkerInfo) control.WorkerInfo {
	if w.LastExit != nil {
		w.LastExit.Lines = nil // info made a copy of the exit
	}
	return w
}

// measure adds what only the kernel knows; outside the loop, for it reads files.
func measure(w *control.WorkerInfo) {
	if w.PID == 0 {
		return
	}
	if u, err := proc.ReadUsage(w.PID); err == nil { // else it has just gone
		w.CPU, w.RSS = u.CPU, u.RSS
	}
}

// Worker implements [control.Control].
func (a as) Worker(ctx context.Context, id string) (control.WorkerDetail, error) {
	d, err := ask(ctx, a.p, func(l *loop) (control.WorkerDetail, error) {
		s, err := l.seat(id)
		if err != nil {
			return control.WorkerDetail{}, err
		}
		return control.WorkerDetail{WorkerInfo: s.info(time.Now()), Exits: append([]control.Exit{}, s.exits...)}, nil
	})
	if err != nil {
		return d, err
	}
	measure(&d.WorkerInfo)
	d.Lines = []string{}
	lines, _, _ := a.p.log.read(1)
	for _, line := range last(filter(lines, func(x control.LogLine) bool { return x.Worker == id }), tailSize) {
		d.Lines = append(d.Lines, line.Text)
	}
	return d, nil
}

// Scale implements [control.Control].
func (a as) Scale(ctx context.Context, r control.ScaleRequest) (control.Job, error) {
	return a.askJob(ctx, func(l *loop) (*job, error) { return l.scale(r, a.user) })
}

// Reload implements [control.Control].
func (a as) Reload(ctx context.Context, r control.ReloadRequest) (control.Job, error) {
	return a.askJob(ctx, func(l *loop) (*job, error) {
		j, err := l.reload(r, a.user)
		return l.askedBy(a.worker, j, err)
	})
}

// Rollback implements [control.Control].
func (a as) Rollback(ctx context.Context, r control.RollbackRequest) (control.Job, error) {
	return a.askJob(ctx, func(l *loop) (*job, error) {
		j, err := l.rollback(r, a.user)
		return l.askedBy(a.worker, j, err)
	})
}

// Generations implements [control.Control].
func (a as) Generations(ctx context.Context) ([]control.GenerationInfo, error) {
	return ask(ctx, a.p, func(l *loop) ([]control.GenerationInfo, error) { return l.generationList(), nil })
}

// Restart implements [control.Control].
func (a as) Restart(ctx context.Context, r control.RestartRequest) (control.Job, error) {
	return a.askJob(ctx, func(l *loop) (*job, error) {
		j, err := l.restart(r, a.user)
		return l.askedBy(a.worker, j, err)
	})
}

// Stop implements [control.Control].
func (a as) Stop(ctx context.Context, _ control.StopRequest) (control.Job, error) {
	return a.askJob(ctx, func(l *loop) (*job, error) {
		l.awaited = true
		return l.stop(a.user)
	})
}

// Revive implements [control.Control].
func (a as) Revive(ctx context.Context, r control.ReviveRequest) (control.Job, error) {
	return a.askJob(ctx, func(l *loop) (*job, error) { return l.revive(r.IDs, a.user) })
}

// RestartWorker implements [control.Control].
func (a as) RestartWorker(ctx context.Context, id string) (control.Job, error) {
	return a.askJob(ctx, func(l *loop) (*job, error) { return l.restartWorker(id, a.user) })
}

// StopWorker implements [control.Control].
func (a as) StopWorker(ctx context.Context, id string) (control.Job, error) {
	return a.askJob(ctx, func(l *loop) (*job, error) { return l.stopWorker(id, a.user) })
}

// Signal implements [control.Control].
func (a as) Signal(ctx context.Context, r control.SignalRequest) error {
	sig, err := signalNumber(r.Signal)
	if err != nil {
		return err
	}
	_, err = ask(ctx, a.p, func(l *loop) (struct{}, error) {
		s, err := l.seat(r.ID)
		if err != nil {
			return struct{}{}, err
		}
		run := s.runs[s.cur.inc]
		switch {
		case run == nil || run.process == nil:
			return struct{}{}, &control.Error{Code: control.ErrConflict.Code, Message: fmt.Sprintf("worker %s has no process: it is %s", r.ID, s.state())}
		case r.Incarnation != 0 && r.Incarnation != run.inc:
			return struct{}{}, &control.Error{Code: control.ErrConflict.Code, Message: fmt.Sprintf("worker %s is incarnation %d now, not %d", r.ID, run.inc, r.Incarnation)}
		}
		l.tell(control.Event{Kind: "worker.signalled", Worker: r.ID, PID: run.pid(), User: a.user, Text: fmt.Sprintf("worker %s: sent %s", r.ID, unix.SignalName(sig))})
		return struct{}{}, run.process.Signal(sig)
	})
	return err
}

// signalNumber reads "HUP", "SIGHUP" or "1".
func signalNumber(name string) (syscall.Signal, error) {
	full := strings.ToUpper(name)
	if !strings.HasPrefix(full, "SIG") {
		full = "SIG" + full
	}
	if sig := unix.SignalNum(full); sig != 0 {
		return sig, nil
	}
	if n, err := strconv.Atoi(name); err == nil && unix.SignalName(syscall.Signal(n)) != "" {
		return syscall.Signal(n), nil
	}
	return 0, &control.Error{Code: control.ErrUsage.Code, Message: fmt.Sprintf("no signal %q", name)}
}

// Jobs implements [control.Control].
func (a as) Jobs(ctx context.Context) ([]control.Job, error) {
	return ask(ctx, a.p, func(l *loop) ([]control.Job, error) {
		all := []control.Job{}
		for _, j := range l.jobs {
			all = append(all, j.value())
		}
		return all, nil
	})
}

// progress is how far a job is, for one who follows it.
type progress struct {
	job    control.Job
	events []control.JobEvent
	news   <-chan struct{}
	next   bool // the one who follows is replaced next, by its own wish
}

// since is what is new about a job for one who has seen so many events.
func (j *job) since(seen int, id string, worker uint64) (progress, error) {
	if j == nil {
		return progress{}, noJob(id)
	}
	return progress{j.value(), append([]control.JobEvent(nil), j.events[seen:]...), j.news, j.asked(worker)}, nil
}

// toldOf notes that the end of a stop has become known.
func (p *Primary) toldOf(j control.Job) {
	if j.Kind != "stop" {
		return
	}
	select {
	case p.told <- struct{}{}:
	default:
	}
}

// hasEnded tells whether the loop has, so that nobody changes its last state.
func (p *Primary) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// FollowJob implements [control.Control].
func (a as) FollowJob(ctx context.Context, id string, fn func(control.JobEvent) error) (control.Job, error) {
	seen := 0
	if a.worker != 0 {
		defer a.p.post(func(l *loop) { l.askerLeft(id, a.worker) })
	}
	for {
		p, err := ask(ctx, a.p, func(l *loop) (progress, error) { return findJob(l.jobs, id).since(seen, id, a.worker) })
		if errors.Is(err, errEnded) && a.p.hasEnded() { // most likely by this very job
			p, err = findJob(a.p.last, id).since(seen, id, a.worker)
		}
		if err != nil {
			return control.Job{}, err
		}
		for _, e := range p.events {
			if err := fn(e); err != nil {
				return p.job, err
			}
			seen++
		}
		if p.job.State != control.JobRunning {
			a.p.toldOf(p.job)
			return p.job, nil
		}
		if p.next {
			return p.job, a.answer(ctx)
		}
		select {
		case <-p.news:
		case <-ctx.Done():
			return p.job, context.Cause(ctx)
		}
	}
}

// CancelJob implements [control.Control].
func (a as) CancelJob(ctx context.Context, id string) (control.Job, error) {
	return a.askJob(ctx, func(l *loop) (*job, error) {
		j, err := l.job(id)
		if err != nil {
			return nil, err
		}
		if j.State == control.JobRunning && !j.cancelled {
			if j.Kind == "stop" {
				return nil, &control.Error{Code: control.ErrConflict.Code, Message: "a stop cannot be cancelled"}
			}
			j.cancelled = true
			l.tell(control.Event{Kind: "job.cancelled", Job: id, User: a.user, Text: fmt.Sprintf("job %s: cancelled", id)})
		}
		return j, nil
	})
}

// Log implements [control.Control].
func (a as) Log(ctx context.Context, q control.LogQuery, fn func(control.LogLine) error) error {
	if q.Worker != "" {
		if _, err := a.Worker(ctx, q.Worker); err != nil && !errors.Is(err, control.ErrStopping) {
			return err
		}
	}
	return a.p.log.stream(ctx, query[control.LogLine]{
		lines: q.Lines, follow: q.Follow, after: q.After,
		match: func(x control.LogLine) bool { return q.Worker == "" || x.Worker == q.Worker },
		tell:  func(x control.LogLine, skipped int) error { x.Skipped = skipped; return fn(x) },
	})
}

// Events implements [control.Control].
func (a as) Events(ctx context.Context, q control.EventQuery, fn func(control.Event) error) error {
	return a.p.news.stream(ctx, query[control.Event]{
		lines: q.Lines, follow: q.Follow, after: q.After,
		match: func(control.Event) bool { return true },
		tell:  func(x control.Event, skipped int) error { x.Skipped = skipped; return fn(x) },
	})
}

// Spec implements [control.Control].
func (a as) Spec(context.Context) (control.Spec, error) { return a.p.cfg.Spec, nil }
