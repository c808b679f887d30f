package primary

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/norestart/norestart/control"
)

// story is what followers of a job read: its events, and then how it ended. It
// needs no loop, so that the end of a stop is told when the loop has ended.
type story struct {
	*eventLog[control.JobEvent]
	job control.Job // as it ended
}

func newStory() *story {
	return &story{eventLog: newEventLog(0, keptJobEvents, keptOutput, func(e control.JobEvent) int { return len(e.Output) })}
}

// end is the last element of a job's story.
func (s *story) end(j control.Job) {
	s.job = j // read only when the event log has been closed
	s.close()
}

// accepted is a job for its caller.
type accepted struct {
	job   control.Job
	story *story
	own   bool // it replaces the worker that asked for it
}

// errNext ends the following of a job by the worker that is replaced next.
var errNext = errors.New("it is next")

// follow tells the events of a job up to its end.
func (c caller) follow(ctx context.Context, a accepted, fn func(control.JobEvent) error) (control.Job, error) {
	if c.worker != 0 {
		defer c.p.post(func(l *loop) { l.callerLeft(a.job.ID, c.worker) })
	}
	err := a.story.stream(ctx, query[control.JobEvent]{
		lines: keptJobEvents, follow: true, match: func(control.JobEvent) bool { return true },
		tell: func(e control.JobEvent, _ int) error {
			if err := fn(e); err != nil || e.Event != control.StepNext || !a.own || a.story.ended() {
				return err
			}
			return errNext
		},
	})
	switch {
	case errors.Is(err, io.EOF):
		return a.story.job, nil
	case errors.Is(err, errNext):
		return c.answerNow(ctx, a.job.ID)
	}
	return a.job, err
}

// answerNow gives a worker that is next the time to answer: it hangs up when it
// has. The job goes on without it.
func (c caller) answerNow(ctx context.Context, id string) (control.Job, error) {
	select {
	case <-ctx.Done():
		return control.Job{}, context.Cause(ctx)
	case <-time.After(answerWait):
	}
	return ask(ctx, c.p, func(l *loop) (control.Job, error) {
		j, err := l.job(id)
		if err != nil {
			return control.Job{}, err
		}
		return j.value(), nil
	})
}
