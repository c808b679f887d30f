package primary

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/norestart/norestart/control"
)

// asker is a worker that asked for a reload of its own pool, most likely while
// somebody waits for its answer. Its slot goes last, and only when it has had
// time to answer.
type asker struct {
	inc  uint64
	told time.Time // that it is next; zero: not yet
	left bool      // it follows the job no more: it has answered, or has nobody to answer
}

// answerWait is how long a worker that is to be replaced by its own wish has for
// its answer.
const answerWait = 2 * time.Second

// askedBy lets the slot of the worker that asked go last, its pool as well. It
// means nothing to a worker whose sessions outlive its replacement.
func (l *loop) askedBy(inc uint64, j *job, err error) (*job, error) {
	if err != nil || inc == 0 {
		return j, err
	}
	w := j.work.(*reload)
	for i, c := range w.todo {
		if c.pool.spec.MaxOutgoing == 0 && slices.ContainsFunc(c.pool.seats, func(s *seat) bool { return s.cur.inc == inc }) {
			j.asker = &asker{inc: inc}
			w.todo = append(slices.Delete(w.todo, i, i+1), c)
			break
		}
	}
	return j, nil
}

// last puts the slot of the asker behind the others.
func (a *asker) last(seats []*seat) {
	if a == nil {
		return
	}
	slices.SortStableFunc(seats, func(x, y *seat) int {
		switch a.inc {
		case x.cur.inc:
			return 1
		case y.cur.inc:
			return -1
		}
		return 0
	})
}

// mayGo tells whether the process of a slot may retire now: that of the asker
// only when all others are done and it has answered.
func (c *cycle) mayGo(l *loop, j *job, s *seat) bool {
	a := j.asker
	if a == nil || a.inc != s.cur.inc || c.undoing {
		return true
	}
	if !c.othersDone(s) {
		return false
	}
	if a.told.IsZero() {
		a.told = time.Now()
		l.wake(answerWait)
		j.step(c.next(s))
	}
	return a.left || time.Since(a.told) >= answerWait
}

func (c *cycle) othersDone(s *seat) bool {
	other := func(o *seat) bool { return o != s }
	return !slices.ContainsFunc(c.waiting, other) &&
		!slices.ContainsFunc(c.doing, func(ch *change) bool { return other(ch.seat) }) &&
		!slices.ContainsFunc(c.leaving, func(ch *change) bool { return !ch.told })
}

// eventNext tells the asker that it is next: all others are done.
const eventNext = "next"

func (c *cycle) next(s *seat) control.JobEvent {
	e := control.JobEvent{Event: eventNext, Worker: s.id(), Generation: c.by, OK: true}
	if c.to == nil {
		e.Generation = s.gen
	}
	who := "generation " + fmt.Sprint(e.Generation)
	if r := s.runs[s.next.inc]; r != nil {
		e.PID = r.pid()
		who = fmt.Sprintf("pid %d, %s", e.PID, who)
	}
	e.Text = fmt.Sprintf("worker %s is replaced next: %s (%d/%d)", e.Worker, who, c.counted+1, c.total)
	return e
}

// asked tells whether this worker asked for the job, and is next.
func (j *job) asked(inc uint64) bool {
	return j.asker != nil && inc == j.asker.inc && !j.asker.told.IsZero()
}

// askerLeft takes in that a worker follows a job no more.
func (l *loop) askerLeft(id string, inc uint64) {
	if j := findJob(l.jobs, id); j != nil && j.asker != nil && j.asker.inc == inc {
		j.asker.left = true
	}
}

// resumeAsker goes on with one whose primary was replaced.
func (l *loop) resumeAsker(j *job, inc uint64) {
	if inc == 0 {
		return
	}
	j.asker = &asker{inc: inc}
	if slices.ContainsFunc(j.events, func(e control.JobEvent) bool { return e.Event == eventNext }) {
		j.asker.told = time.Now()
		l.wake(answerWait)
	}
}

// answer gives a worker that is next the time to answer: it hangs up when it
// has. The job goes on without it.
func (a as) answer(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(answerWait):
		return nil
	}
}
