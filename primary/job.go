package primary

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

// job is long work in progress. Its work is level-triggered like everything
// else in the loop: it looks at the slots after each event and does the next
// thing.
type job struct {
	control.Job
	work      work
	events    []control.JobEvent
	news      chan struct{} // closed at the next event
	cancelled bool
	asker     *asker             // nil: whoever asked is none of those who are replaced
	drained   []*control.Drained // by pool
}

// work is what a kind of job does.
type work interface {
	// advance does what can be done now. It is called after every event of
	// the cluster while the job runs, and ends it by [loop.finish].
	advance(l *loop, j *job)
}

const (
	keptJobs      = 20
	maxRunning    = 64   // at once: those that take no pool are bounded by nothing else
	keptJobEvents = 4096 // reload of 512 workers with an event or two each
)

// begin starts a job for pools, each of which may have one at a time.
func (l *loop) begin(kind, what, owner string, pools []*pool, w work) (*job, error) {
	if l.stopping {
		return nil, control.ErrStopping
	}
	for _, p := range pools {
		if p.job != nil {
			return nil, busy(p.job.Job)
		}
	}
	if r := l.running(); len(r) >= maxRunning {
		return nil, busy(r[0].Job)
	}
	l.lastJob++
	j := &job{work: w, news: make(chan struct{})}
	j.Job = control.Job{ID: strconv.Itoa(l.lastJob), Kind: kind, What: what, Owner: owner, Since: time.Now(), State: control.JobRunning}
	for _, p := range pools {
		p.job = j
		j.Pools = append(j.Pools, p.spec.Name)
	}
	l.jobs = append(l.jobs, j)
	l.forgetJobs()
	l.tell(control.Event{Kind: "job.started", Job: j.ID, User: owner, Text: fmt.Sprintf("job %s: %s", j.ID, j.title())})
	return j, nil
}

func (j *job) title() string { return strings.TrimSpace(j.Kind + " " + j.What) }

// busy names what runs, by whom, since when.
func busy(j control.Job) error {
	return &control.Error{
		Code:    control.ErrBusy.Code,
		Message: fmt.Sprintf("%s by %s runs since %v (job %s)", strings.TrimSpace(j.Kind+" "+j.What), j.Owner, time.Since(j.Since).Round(time.Second), j.ID),
		Hint:    "job follow " + j.ID,
	}
}

// running are the jobs that have not ended.
func (l *loop) running() []*job {
	var r []*job
	for _, j := range l.jobs {
		if j.State == control.JobRunning {
			r = append(r, j)
		}
	}
	return r
}

// forgetJobs keeps the last ones that ended.
func (l *loop) forgetJobs() {
	for i := 0; len(l.jobs) > keptJobs && i < len(l.jobs); {
		if l.jobs[i].State == control.JobRunning {
			i++
			continue
		}
		l.jobs = slices.Delete(l.jobs, i, i+1)
	}
}

func (l *loop) job(id string) (*job, error) {
	if j := findJob(l.jobs, id); j != nil {
		return j, nil
	}
	return nil, noJob(id)
}

func findJob(all []*job, id string) *job {
	for _, j := range all {
		if j.ID == id {
			return j
		}
	}
	return nil
}

func noJob(id string) error {
	return &control.Error{Code: control.ErrNoJob.Code, Message: fmt.Sprintf("no job %q", id), Hint: control.ErrNoJob.Hint}
}

// step tells those who follow the job of one step of it.
func (j *job) step(e control.JobEvent) {
	e.Seq = len(j.events) + 1
	if len(j.events) < keptJobEvents {
		j.events = append(j.events, e)
	}
	close(j.news)
	j.news = make(chan struct{})
}

// note is a step that only explains.
func (j *job) note(format string, args ...any) {
	j.step(control.JobEvent{Event: "note", OK: true, Text: fmt.Sprintf(format, args...)})
}

// drained takes in what became of the connections of a worker, for the job that
// ended it.
func (l *loop) drained(p *pool, d ipc.Drained) {
	j := p.job
	if j == nil {
		return
	}
	i := slices.IndexFunc(j.drained, func(sum *control.Drained) bool { return sum.Pool == p.spec.Name })
	if i < 0 {
		i = len(j.drained)
		j.drained = append(j.drained, &control.Drained{Pool: p.spec.Name})
	}
	sum := j.drained[i]
	sum.Moved += max(0, d.Moved)
	sum.Finished += max(0, d.Finished)
	sum.Told += max(0, d.Told)
	sum.Cut += max(0, d.Cut)
}

// tellDrained is a line for each pool that had connections.
func (j *job) tellDrained() {
	for _, d := range j.drained {
		if d.Moved+d.Finished+d.Told+d.Cut == 0 {
			continue
		}
		j.step(control.JobEvent{
			Event: "drained", OK: true, Drained: d,
			Text: fmt.Sprintf("%s: %d connections moved, %d finished, %d told, %d cut", d.Pool, d.Moved, d.Finished, d.Told, d.Cut),
		})
	}
}

// finish ends a job and frees its pools.
func (l *loop) finish(j *job, state control.JobState, cause string) {
	if j.State != control.JobRunning {
		return
	}
	j.tellDrained()
	j.State, j.Error, j.Ended = state, cause, time.Now()
	for _, p := range l.pools {
		if p.job == j {
			p.job = nil
		}
	}
	text := fmt.Sprintf("job %s: %s: %s", j.ID, j.title(), state)
	if cause != "" {
		text += ": " + strings.TrimPrefix(cause, "cancelled: ")
	}
	l.tell(control.Event{Kind: "job.ended", Job: j.ID, Text: text})
	l.persist(false) // before anybody learns it: the next primary must not do it again
	close(j.news)
	j.news = make(chan struct{})
}

// wake makes the loop look again after d: something depends on time alone.
func (l *loop) wake(d time.Duration) {
	post := l.post
	time.AfterFunc(d, func() { post(func(*loop) {}) })
}

// failureOf is how the process of a slot ended, for the one who waits for it.
func (s *seat) failureOf(inc uint64) control.Exit {
	for _, e := range s.exits {
		if e.Incarnation == inc {
			return e
		}
	}
	return control.Exit{Incarnation: inc, Reason: "it has gone"}
}
