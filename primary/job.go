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

// job is long work in progress. It is level-triggered like all else in the loop:
// after each event it looks at the slots and does the next thing.
type job struct {
	control.Job
	work      work
	story     *story
	seq       int // of the last event
	cancelled bool
	caller    *callingWorker     // nil: no worker that is to be replaced asked for it
	drained   []*control.Drained // by pool
	summary   []control.JobEvent // told at its end
}

// work is what a kind of job does.
type work interface {
	// advance does what can be done now. It is called after every event of
	// the cluster while the job runs, and ends it by [loop.finish].
	advance(l *loop, j *job)
}

const (
	keptJobs      = 20
	maxRunning    = 64        // at once; bounds those that take no pool
	keptJobEvents = 4096      // a reload of 512 workers has one or two each
	keptOutput    = 128 << 10 // bytes of its errands; all of it is in the log
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
	j := &job{work: w, story: newStory()}
	j.Job = control.Job{ID: strconv.Itoa(l.lastJob), Kind: kind, What: what, Owner: owner, Since: time.Now(), State: control.JobRunning}
	for _, p := range pools {
		p.job = j
		j.Pools = append(j.Pools, p.spec.Name)
	}
	l.jobs = append(l.jobs, j)
	l.forgetJobs()
	l.tell(control.Event{Kind: control.EventJobStarted, Job: j.ID, User: owner, Text: fmt.Sprintf("job %s: %s", j.ID, j.title())})
	return j, nil
}

func (j *job) title() string { return strings.TrimSpace(j.Kind + " " + j.What) }

// busy names the running job, its owner and its age.
func busy(j control.Job) error {
	return &control.Error{
		Code:    control.ErrBusy.Code,
		Message: fmt.Sprintf("%s by %s has been running for %v (job %s)", strings.TrimSpace(j.Kind+" "+j.What), j.Owner, time.Since(j.Since).Round(time.Second), j.ID),
		Hint:    "job follow " + j.ID,
		Job:     j.ID,
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
	for _, j := range l.jobs {
		if j.ID == id {
			return j, nil
		}
	}
	return nil, &control.Error{Code: control.ErrNoJob.Code, Message: fmt.Sprintf("no job %q", id), Hint: control.ErrNoJob.Hint}
}

func (j *job) step(e control.JobEvent) {
	j.seq++
	e.Seq = j.seq
	j.story.add(func(control.Cursor) control.JobEvent { return e })
}

func (j *job) events() []control.JobEvent {
	all, _, _ := j.story.read(1)
	return all
}

// lasting are the events for the record: not what errands wrote.
func (j *job) lasting() []control.JobEvent {
	return slices.DeleteFunc(j.events(), func(e control.JobEvent) bool { return e.Event == control.StepOutput })
}

func (j *job) note(format string, args ...any) {
	j.step(control.JobEvent{Event: control.StepNote, OK: true, Text: fmt.Sprintf(format, args...)})
}

// drained adds up the connections of a worker, for the job that ended it.
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

func (j *job) tellDrained() {
	for _, d := range j.drained {
		if d.Moved+d.Finished+d.Told+d.Cut == 0 {
			continue
		}
		j.step(control.JobEvent{
			Event: control.StepDrained, OK: true, Drained: d,
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
	for _, e := range j.summary {
		j.step(e)
	}
	if w := j.cycles(); w != nil {
		w.errands.drop()
	}
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
	l.tell(control.Event{Kind: control.EventJobEnded, Job: j.ID, Text: text})
	l.persist(false) // before anybody learns of it: the next primary must not do it again
	j.story.end(j.value())
}

// wake makes the loop look again after d: something depends on time alone.
func (l *loop) wake(d time.Duration) {
	post := l.post
	time.AfterFunc(d, func() { post(func(*loop) {}) })
}

// failureOf is how the process of a slot ended.
func (s *slot) failureOf(inc uint64) control.Exit {
	for _, e := range s.exits {
		if e.Incarnation == inc {
			return e
		}
	}
	return control.Exit{Incarnation: inc, Reason: "it has gone"}
}
