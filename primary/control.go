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

// caller is the person or process for whom a request is carried out.
type caller struct {
	p      *Primary
	user   string
	worker uint64 // its incarnation; 0: not a worker
}

var _ control.Control = caller{}

// Get implements [control.Control].
func (c caller) Get(ctx context.Context, q any) (any, error) {
	switch q := q.(type) {
	case control.StatusQuery:
		return c.status(ctx)
	case control.WorkersQuery:
		return c.workers(ctx)
	case control.WorkerQuery:
		return c.workerDetail(ctx, q.ID)
	case control.GenerationsQuery:
		return ask(ctx, c.p, func(l *loop) ([]control.GenerationInfo, error) { return l.generationList(), nil })
	case control.JobsQuery:
		return ask(ctx, c.p, func(l *loop) ([]control.Job, error) { return l.jobList(), nil })
	case control.SpecQuery:
		return ask(ctx, c.p, func(l *loop) (control.Spec, error) { return l.configuration().Spec, nil })
	case control.ChangesQuery:
		return c.changes(ctx, q.Pools)
	case control.ConfigQuery:
		return c.configChanges(ctx)
	}
	return nil, unknown(q)
}

// Watch implements [control.Control].
func (c caller) Watch(ctx context.Context, q any, fn func(any) error) error {
	switch q := q.(type) {
	case control.LogQuery:
		return c.watchLog(ctx, q, fn)
	case control.EventQuery:
		return c.p.news.stream(ctx, query[control.Event]{
			lines: q.Lines, follow: q.Follow, after: q.After,
			match: func(control.Event) bool { return true },
			tell:  func(x control.Event, skipped int) error { x.Skipped = skipped; return fn(x) },
		})
	case control.CallRequest:
		return c.call(ctx, q, func(r control.CallReply) error { return fn(r) })
	case control.TerminalQuery:
		return c.watchTerminal(ctx, q, fn)
	}
	return unknown(q)
}

func unknown(q any) error { return fmt.Errorf("%w: the primary does not know %T", control.ErrUsage, q) }

// Do implements [control.Control].
func (c caller) Do(ctx context.Context, r control.Request, fn func(control.JobEvent) error) (control.Job, error) {
	if r, ok := r.(control.SignalRequest); ok {
		return control.Job{}, c.signal(ctx, r)
	}
	if r, ok := r.(control.ProbedRequest); ok {
		return control.Job{}, c.tellProbed(ctx, r)
	}
	if r, ok := r.(control.TerminalRequest); ok {
		return control.Job{}, c.typed(ctx, r)
	}
	var now *Configuration
	var prop *proposal
	var err error
	switch r.(type) {
	case control.ReloadRequest:
		now, err = c.p.file.now(ctx)
	case control.ConfigRequest:
		prop, err = c.p.propose(ctx)
	}
	if err != nil {
		return control.Job{}, err
	}
	a, err := ask(ctx, c.p, func(l *loop) (accepted, error) {
		j, err := l.carryOut(r, c, now, prop)
		if err != nil {
			return accepted{}, err
		}
		return accepted{j.value(), j.story, c.worker != 0 && j.caller != nil && j.caller.inc == c.worker}, nil
	})
	if err != nil || fn == nil {
		return a.job, err
	}
	if _, before := r.(control.FollowRequest); !before {
		if err := fn(control.JobEvent{Event: control.StepAccepted, OK: true, Job: &a.job}); err != nil {
			return a.job, err
		}
	}
	return c.follow(ctx, a, fn)
}

// carryOut begins a job, or finds the one that is meant; now and prop are what
// was read for it of the configuration.
func (l *loop) carryOut(r control.Request, c caller, now *Configuration, prop *proposal) (*job, error) {
	switch r := r.(type) {
	case control.ConfigRequest:
		defer prop.close()
		if prop.app != nil {
			return l.reconfigureApp(prop.app, c.user)
		}
		return l.reconfigure(prop, c.user)
	case control.ScaleRequest:
		return l.scale(r, c.user)
	case control.ReloadRequest:
		j, err := l.reload(r, c.user, now)
		return l.calledBy(c.worker, j, err)
	case control.RollbackRequest:
		j, err := l.rollback(r, c.user)
		return l.calledBy(c.worker, j, err)
	case control.RestartRequest:
		j, err := l.restart(r, c.user)
		return l.calledBy(c.worker, j, err)
	case control.StopRequest:
		return l.stop(c.user)
	case control.ReviveRequest:
		return l.revive(r.IDs, c.user)
	case control.RestartWorkerRequest:
		return l.restartWorker(r.ID, c.user)
	case control.StopWorkerRequest:
		return l.stopWorker(r.ID, c.user)
	case control.FollowRequest:
		return l.job(r.ID)
	case control.CancelRequest:
		return l.cancel(r.ID, c.user)
	}
	return nil, unknown(r)
}

// errEnded answers requests that come after the end.
var errEnded = control.ErrStopping

// ask lets the loop answer. The answer shares nothing with the loop.
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

// value is the job without what belongs to the loop.
func (j *job) value() control.Job {
	v := j.Job
	v.Pools = append([]string(nil), j.Pools...)
	return v
}

func (c caller) status(ctx context.Context) (control.Status, error) {
	file, _ := c.p.configuration(ctx) // without it a reload says why
	now := c.p.cfg.versions(file)
	return ask(ctx, c.p, func(l *loop) (control.Status, error) {
		st := control.Status{
			Name: l.cfg.Spec.Name, Version: l.cfg.Version, Admin: l.admin(), Jobs: []control.Job{},
			Primary: &control.Primary{PID: l.cfg.PID, Since: l.since},
		}
		for _, p := range l.pools {
			ps := p.status()
			ps.Differs = p.differs(now[p.spec.Name])
			p.judged(&ps, now[p.spec.Name])
			st.Pools = append(st.Pools, ps)
		}
		for _, j := range l.running() {
			st.Jobs = append(st.Jobs, j.value())
		}
		return st, nil
	})
}

func (c caller) workers(ctx context.Context) ([]control.WorkerInfo, error) {
	workers, err := ask(ctx, c.p, func(l *loop) ([]control.WorkerInfo, error) {
		all := []control.WorkerInfo{}
		for _, s := range l.slots() {
			if s.visible() {
				all = append(all, brief(s.info(time.Now())))
			}
		}
		return all, nil
	})
	for i := range workers {
		measure(&workers[i])
	}
	return workers, err
}

// brief leaves out what would make a list of many workers too large for a
// message.
func brief(w control.WorkerInfo) control.WorkerInfo {
	if w.LastExit != nil {
		w.LastExit.Lines = nil // info made a copy of the exit
	}
	return w
}

// measure adds what only the kernel knows; it reads files, so it runs outside the
// loop.
func measure(w *control.WorkerInfo) {
	if w.PID == 0 {
		return
	}
	if u, err := proc.ReadUsage(w.PID); err == nil { // else it has just gone
		w.CPU, w.RSS = u.CPU, u.RSS
	}
}

func (c caller) workerDetail(ctx context.Context, id string) (control.WorkerDetail, error) {
	d, err := ask(ctx, c.p, func(l *loop) (control.WorkerDetail, error) {
		s, err := l.slot(id)
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
	lines, _, _ := c.p.log.read(1)
	for _, line := range last(filter(lines, func(x control.LogLine) bool { return x.Worker == id }), tailSize) {
		d.Lines = append(d.Lines, line.Text)
	}
	return d, nil
}

func (c caller) signal(ctx context.Context, r control.SignalRequest) error {
	sig, err := signalNumber(r.Signal)
	if err != nil {
		return err
	}
	_, err = ask(ctx, c.p, func(l *loop) (struct{}, error) {
		s, err := l.slot(r.ID)
		if err != nil {
			return struct{}{}, err
		}
		run := s.processes[s.cur.inc]
		switch {
		case run == nil || run.handle == nil:
			return struct{}{}, &control.Error{Code: control.ErrConflict.Code, Message: fmt.Sprintf("worker %s has no process: it is %s", r.ID, s.state())}
		case r.Incarnation != 0 && r.Incarnation != run.inc:
			return struct{}{}, &control.Error{Code: control.ErrConflict.Code, Message: fmt.Sprintf("worker %s is incarnation %d now, not %d", r.ID, run.inc, r.Incarnation)}
		}
		l.tell(control.Event{Kind: control.EventWorkerSignalled, Worker: r.ID, PID: run.pid(), User: c.user, Text: fmt.Sprintf("worker %s: sent %s", r.ID, unix.SignalName(sig))})
		return struct{}{}, run.handle.Signal(sig)
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

func (l *loop) jobList() []control.Job {
	all := []control.Job{}
	for _, j := range l.jobs {
		all = append(all, j.value())
	}
	return all
}

func (l *loop) cancel(id, by string) (*job, error) {
	j, err := l.job(id)
	if err != nil {
		return nil, err
	}
	if j.State == control.JobRunning && !j.cancelled {
		if w, ok := j.work.(*configJob); j.Kind == "stop" || ok && (w.Phase == configEnding || w.Phase == configUndoing) {
			return nil, &control.Error{Code: control.ErrConflict.Code, Message: fmt.Sprintf("a %s cannot be cancelled now", j.Kind), Hint: "job follow " + id}
		}
		j.cancelled = true
		l.tell(control.Event{Kind: control.EventJobCancelled, Job: id, User: by, Text: fmt.Sprintf("job %s: cancelled", id)})
	}
	return j, nil
}

func (c caller) watchLog(ctx context.Context, q control.LogQuery, fn func(any) error) error {
	if q.Worker != "" {
		if _, err := c.workerDetail(ctx, q.Worker); err != nil && !errors.Is(err, control.ErrStopping) {
			return err
		}
	}
	return c.p.log.stream(ctx, query[control.LogLine]{
		lines: q.Lines, follow: q.Follow, after: q.After,
		match: func(x control.LogLine) bool { return q.Worker == "" || x.Worker == q.Worker },
		tell:  func(x control.LogLine, skipped int) error { x.Skipped = skipped; return fn(x) },
	})
}
