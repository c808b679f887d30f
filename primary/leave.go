package primary

import (
	"fmt"
	"time"

	"github.com/norestart/norestart/control"
)

// left looks at a slot whose successor serves, and tells whether nothing more
// is to be waited for: the old process has gone.
func (c *cycle) left(l *loop, j *job, ch *change) bool {
	if ch.refill {
		return c.refilled(j, ch.seat)
	}
	r := ch.seat.runs[ch.old]
	if !ch.told && (r == nil || r.closed) {
		c.tell(l, j, ch)
	}
	if r == nil {
		c.tellCut(j, ch)
		return true
	}
	if ch.told && c.pool.spec.MaxOutgoing > 0 {
		return true // lasting sessions are not waited for
	}
	if !ch.told && !ch.overdue && time.Since(ch.since) >= c.closeWait(r) {
		ch.overdue = true
		ch.seat.note(ch.old, fmt.Sprintf("did not stop accepting within %v", c.closeWait(r)))
		ch.seat.signal(ch.old, sigKill)
	}
	return false
}

// closeWait is longer for one whose sockets nobody else takes over: it accepts
// what waits there first.
func (c *cycle) closeWait(r *run) time.Duration {
	if c.pool.leaves(r) {
		return closeTimeout + c.pool.spec.LameDuck
	}
	return closeTimeout
}

// tell prints the slot's line: no new connection reaches the old process now.
func (c *cycle) tell(l *loop, j *job, ch *change) {
	ch.told = true
	e := control.JobEvent{Event: "replaced", Worker: ch.seat.id(), Generation: ch.seat.cur.gen, OK: true}
	if r := ch.seat.runs[ch.inc]; r != nil {
		e.PID = r.pid()
	}
	if ch.undo {
		e.Event = "rolled_back"
		e.Text = fmt.Sprintf("worker %s rolled back: pid %d, generation %d", e.Worker, e.PID, e.Generation)
	} else {
		c.counted++
		j.Done++
		e.Text = fmt.Sprintf("worker %s replaced: pid %d, generation %d (%d/%d)", e.Worker, e.PID, e.Generation, c.counted, c.total)
	}
	if ch.overdue {
		e.Text += "; the old one did not stop accepting and was killed"
	}
	j.step(e)
	if j.asker != nil {
		l.wake(0) // it may be next now
	}
}

// tellCut says so when an old process had to be ended by force.
func (c *cycle) tellCut(j *job, ch *change) {
	e := ch.seat.failureOf(ch.old)
	if e.Signal == "" {
		return
	}
	j.step(control.JobEvent{
		Event: "cut", Worker: ch.seat.id(), PID: e.PID, Generation: e.Generation, Error: exitText(e),
		Text: fmt.Sprintf("worker %s: the old process, pid %d, %s", ch.seat.id(), e.PID, exitText(e)),
	})
}

// refill waits for a slot whose process has retired for a successor that did not
// make it.
func (c *cycle) refill(ch *change) {
	if c.alone() {
		c.leaving = append(c.leaving, &change{seat: ch.seat, refill: true, told: true})
	}
}

// refilled tells whether the slot runs again what it ran before, or has shown
// that it will not just now.
func (c *cycle) refilled(j *job, s *seat) bool {
	if !s.cur.serves() {
		return s.want != wantRun || s.hold != ""
	}
	e := control.JobEvent{Event: "rolled_back", Worker: s.id(), Generation: s.cur.gen, OK: true}
	if r := s.runs[s.cur.inc]; r != nil {
		e.PID = r.pid()
	}
	e.Text = fmt.Sprintf("worker %s runs again: pid %d, generation %d", e.Worker, e.PID, e.Generation)
	j.step(e)
	return true
}
