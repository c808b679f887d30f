package primary

import (
	"fmt"
	"slices"
	"time"

	"github.com/norestart/norestart/control"
)

// callingWorker is a worker that asked for a reload of its own pool, probably
// while its own caller waits for an answer. Its slot goes last, after it had time
// to answer.
type callingWorker struct {
	inc  uint64
	told time.Time // when it was told that it is next; zero: not yet
	left bool      // it no longer follows the job: it has answered, or has nobody to answer
}

// answerWait is how long such a worker has to answer its own caller.
const answerWait = 2 * time.Second

// calledBy lets the slot of the calling worker go last, and its pool. For a
// worker whose sessions outlive its replacement it does nothing.
func (l *loop) calledBy(inc uint64, j *job, err error) (*job, error) {
	if err != nil || inc == 0 {
		return j, err
	}
	w := j.work.(*reloadJob)
	for i, c := range w.todo {
		if c.pool.spec.MaxOutgoing == 0 && slices.ContainsFunc(c.pool.slots, func(s *slot) bool { return s.cur.inc == inc }) {
			j.caller = &callingWorker{inc: inc}
			w.todo = append(slices.Delete(w.todo, i, i+1), c)
			break
		}
	}
	return j, nil
}

// last puts the slot of the caller behind the others.
func (a *callingWorker) last(slots []*slot) {
	if a == nil {
		return
	}
	slices.SortStableFunc(slots, func(x, y *slot) int {
		switch a.inc {
		case x.cur.inc:
			return 1
		case y.cur.inc:
			return -1
		}
		return 0
	})
}

func (c *poolReload) next(s *slot) control.JobEvent {
	e := control.JobEvent{Event: control.StepNext, Worker: s.id(), Generation: c.To, OK: true}
	if c.Again {
		e.Generation = s.gen
	}
	who := "generation " + fmt.Sprint(e.Generation)
	if r := s.processes[s.next.inc]; r != nil {
		e.PID = r.pid()
		who = fmt.Sprintf("pid %d, %s", e.PID, who)
	}
	e.Text = fmt.Sprintf("worker %s is replaced next: %s (%d/%d)", e.Worker, who, c.Counted+1, c.Total)
	return e
}

// callerLeft notes that a worker no longer follows a job.
func (l *loop) callerLeft(id string, inc uint64) {
	if j, err := l.job(id); err == nil && j.caller != nil && j.caller.inc == inc {
		j.caller.left = true
	}
}

// resumeCaller goes on with one whose primary was replaced.
func (l *loop) resumeCaller(j *job, inc uint64) {
	if inc == 0 {
		return
	}
	j.caller = &callingWorker{inc: inc}
	if slices.ContainsFunc(j.events(), func(e control.JobEvent) bool { return e.Event == control.StepNext }) {
		j.caller.told = time.Now()
		l.wake(answerWait)
	}
}
