package primary

import (
	"fmt"
	"slices"

	"github.com/norestart/norestart/control"
)

// fill waits until slots have a ready worker: after a scale up, a revive.
type fill struct {
	waiting []*slot
	failed  []string
	before  map[*slot]uint64 // the last incarnation that had ended when it began
}

func newFill(slots []*slot) *fill {
	f := &fill{waiting: slots, before: make(map[*slot]uint64)}
	for _, s := range slots {
		f.before[s] = s.lastExit()
	}
	return f
}

func (s *slot) lastExit() uint64 {
	if len(s.exits) == 0 {
		return 0
	}
	return s.exits[0].Incarnation
}

func (f *fill) advance(l *loop, j *job) {
	if j.cancelled {
		l.finish(j, control.JobCancelled, "cancelled: no longer waiting; the change itself stays and is carried out")
		return
	}
	f.waiting = slices.DeleteFunc(f.waiting, func(s *slot) bool { return f.settled(j, s) })
	if len(f.waiting) > 0 {
		return
	}
	if len(f.failed) > 0 {
		cause := f.failed[0]
		if more := len(f.failed) - 1; more > 0 {
			cause += fmt.Sprintf("; %d more failed", more)
		}
		l.finish(j, control.JobFailed, cause)
		return
	}
	l.finish(j, control.JobOK, "")
}

// settled tells whether the slot is ready, or has shown that it will not be
// just now.
func (f *fill) settled(j *job, s *slot) bool {
	e := control.JobEvent{Worker: s.id(), Generation: s.gen}
	switch r := s.processes[s.cur.inc]; {
	case s.state() == control.Ready:
		j.Done++
		e.Event, e.OK, e.PID = control.StepReady, true, r.pid()
		e.Text = fmt.Sprintf("worker %s ready: pid %d, generation %d (%d/%d)", e.Worker, e.PID, s.cur.gen, j.Done, j.Total)
	case s.lastExit() != f.before[s]:
		x := s.exits[0]
		e.Event, e.Error, e.PID, e.Lines = control.StepFailed, exitText(x), x.PID, x.Lines
		e.Text = fmt.Sprintf("worker %s %s", e.Worker, e.Error)
		f.failed = append(f.failed, e.Text)
	case s.idle() && s.hold == control.Done && s.pool.spec.Schedule != "":
		j.Done++
		e.Event, e.OK, e.Text = control.StepReady, true, fmt.Sprintf("worker %s waits for its time (%d/%d)", e.Worker, j.Done, j.Total)
	case s.want != wantRun && s.pool.waits == nil:
		e.Event, e.Error, e.Text = control.StepFailed, "no longer wanted", fmt.Sprintf("worker %s is no longer wanted", e.Worker)
		f.failed = append(f.failed, e.Text)
	default:
		return false
	}
	j.step(e)
	return true
}

// empty waits until slots have no process: after a scale down, a stop.
type empty struct {
	waiting []*slot
}

func (w *empty) advance(l *loop, j *job) {
	w.waiting = slices.DeleteFunc(w.waiting, func(s *slot) bool {
		if !s.idle() {
			return false
		}
		j.Done++
		e := control.JobEvent{Event: control.StepStopped, Worker: s.id(), Generation: s.gen, OK: true, Text: fmt.Sprintf("worker %s stopped (%d/%d)", s.id(), j.Done, j.Total)}
		if len(s.exits) > 0 && s.forced(s.exits[0]) {
			e.Event, e.PID, e.Error = control.StepCut, s.exits[0].PID, exitText(s.exits[0])
			e.Text += ": " + e.Error
		}
		j.step(e)
		return true
	})
	switch {
	case j.cancelled:
		l.finish(j, control.JobCancelled, "cancelled: no longer waiting; the change itself stays and is carried out")
	case len(w.waiting) == 0:
		l.finish(j, control.JobOK, "")
	}
}
