package primary

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/norestart/norestart/control"
)

// tell tells the followers of the job what happened.
func (c *poolReload) tell(j *job, a reloadAction) {
	s := c.pool.slots[a.slot:]
	switch a.kind {
	case doTell:
		j.step(a.event)
	case doTellNext:
		j.caller.told = time.Now()
		j.step(c.next(s[0]))
	case doTellReplaced:
		c.tellReplaced(j, s[0], a.leaving)
	case doTellCut:
		tellCut(j, s[0], a.leaving)
	case doTellRefilled:
		tellRefilled(j, s[0])
	case doTellBack:
		var back []*slot
		for _, i := range a.slots {
			back = append(back, c.pool.slots[i])
		}
		j.note("rolling back %s", ids(back))
	case doTellWatching:
		j.note("%s runs generation %d: watching it for %v", c.pool.spec.Name, c.To, c.Watch)
	}
}

// tellReplaced prints the slot's line: no new connection reaches the old process now.
func (c *poolReload) tellReplaced(j *job, s *slot, o leaving) {
	e := control.JobEvent{Event: control.StepReplaced, Worker: s.id(), Generation: s.cur.gen, OK: true}
	if r := s.processes[o.Successor]; r != nil {
		e.PID = r.pid()
	}
	if o.Back {
		e.Event = control.StepRolledBack
		e.Text = fmt.Sprintf("worker %s rolled back: pid %d, generation %d", e.Worker, e.PID, e.Generation)
	} else {
		e.Text = fmt.Sprintf("worker %s replaced: pid %d, generation %d (%d/%d)", e.Worker, e.PID, e.Generation, c.Counted, c.Total)
	}
	if o.Step == leavingKilled {
		e.Text += "; the old one did not stop accepting and was killed"
	}
	j.step(e)
}

// tellCut reports an old process that had to be ended by force.
func tellCut(j *job, s *slot, o leaving) {
	e := s.failureOf(o.Old)
	if !s.forced(e) {
		return
	}
	j.step(control.JobEvent{
		Event: control.StepCut, Worker: s.id(), PID: e.PID, Generation: e.Generation, Error: exitText(e),
		Text: fmt.Sprintf("worker %s: the old process, pid %d, %s", s.id(), e.PID, exitText(e)),
	})
}

func tellRefilled(j *job, s *slot) {
	if !s.cur.serves() {
		return
	}
	e := control.JobEvent{Event: control.StepRolledBack, Worker: s.id(), Generation: s.cur.gen, OK: true}
	if r := s.processes[s.cur.inc]; r != nil {
		e.PID = r.pid()
	}
	e.Text = fmt.Sprintf("worker %s runs again: pid %d, generation %d", e.Worker, e.PID, e.Generation)
	j.step(e)
}

// unchanged says that no worker of the pool was touched.
func (c *poolReload) unchanged(j *job) string {
	if len(j.Pools) > 1 {
		return "nothing of " + c.pool.spec.Name + " was changed"
	}
	return "nothing was changed"
}

// mix tells which slots run which generation.
func (c *poolReload) mix() string {
	byGeneration := make(map[int][]*slot)
	var order []int
	for _, s := range c.pool.slots {
		if !s.cur.some() {
			continue
		}
		if byGeneration[s.cur.gen] == nil {
			order = append(order, s.cur.gen)
		}
		byGeneration[s.cur.gen] = append(byGeneration[s.cur.gen], s)
	}
	slices.Sort(order)
	var parts []string
	for _, g := range order {
		parts = append(parts, fmt.Sprintf("%s run generation %d", ids(byGeneration[g]), g))
	}
	if len(parts) == 0 {
		return "no worker runs"
	}
	return strings.Join(parts, ", ")
}

func ids(slots []*slot) string { return strings.Join(idList(slots), ", ") }

// summary names the pool's old and new generation.
func (c *poolReload) summary() control.JobEvent {
	e := control.JobEvent{Event: control.StepSummary, From: c.From, Generation: c.To, OK: true}
	e.Text = fmt.Sprintf("%s: from generation %d to %d", c.pool.spec.Name, c.From, c.To)
	if c.generation.of != 0 {
		e.Text += fmt.Sprintf(", a copy of %d", c.generation.of)
	}
	if c.Total == 0 {
		e.Text += "; no worker is wanted now"
	}
	return e
}
