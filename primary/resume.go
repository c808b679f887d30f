package primary

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/norestart/norestart/control"
)

// dismiss asks the workers of pools to go that the new code does not have.
func (l *loop) dismiss(r *record) {
	for _, pr := range r.Pools {
		if _, err := l.pool(pr.Name); err == nil {
			continue
		}
		l.tell(control.Event{Kind: control.EventPoolDismissed, Text: fmt.Sprintf("pool %s is not in the new code: its workers are asked to go", pr.Name)})
		for _, sr := range pr.Slots {
			for _, p := range sr.processes() {
				l.dismissProcess(p, pr)
			}
		}
	}
}

// dismissProcess ends one process that has no slot: TERM lets it drain.
func (l *loop) dismissProcess(r processRecord, of poolRecord) {
	p, err := l.cfg.Starter.Adopt(r.PID, r.Start)
	if err != nil {
		return // it has gone
	}
	o := &Orphan{process: p, drain: control.DefaultLameDuck + control.DefaultDrainTimeout, kill: control.DefaultKillAfter, spare: of.Spare, left: leftover{Group: r.Group}}
	l.spawn.wg.Go(func() {
		o.end(context.Background(), l.cfg.Starter)
		<-p.Wait()
	})
}

func (r slotRecord) processes() []processRecord {
	all := slices.Clone(r.Old)
	for _, p := range []*processRecord{r.Cur, r.Next} {
		if p != nil {
			all = append(all, *p)
		}
	}
	return all
}

// resume takes up the jobs that were running: a reload whose canary had not
// passed is undone, any other goes on.
func (l *loop) resume(r *record) {
	l.lastJob = max(l.lastJob, r.LastJob)
	for _, e := range r.Ended {
		l.jobs = append(l.jobs, l.resumedJob(e))
	}
	for _, jr := range r.Jobs {
		j := l.resumedJob(jr)
		if jr.Early {
			j.work = &reloadJob{}
			l.jobs = append(l.jobs, j)
			l.finish(j, control.JobFailed, "the primary was replaced while updates or checks ran; no worker was touched")
			continue
		}
		if jr.Job.Kind == kindConfig && jr.Config == nil && l.cfg.ReadApp != nil {
			l.jobs = append(l.jobs, j)
			l.finish(j, control.JobFailed, "the primary was replaced before all workers had the new configuration: what was before holds")
			continue
		}
		if err := l.resumeWork(j, jr); err != nil {
			l.tell(control.Event{Kind: control.EventJobLost, Job: jr.Job.ID, Text: fmt.Sprintf("job %s: cannot go on: %v", jr.Job.ID, err)})
			continue
		}
		l.jobs = append(l.jobs, j)
		if l.cfg.Back != "" {
			l.finish(j, control.JobFailed, "the new primary could not take over, the one before runs again: "+l.cfg.Back)
			continue
		}
		l.tell(control.Event{Kind: control.EventJobResumed, Job: j.ID, Text: fmt.Sprintf("job %s: %s goes on under a new primary", j.ID, j.title())})
	}
	l.abandonLost()
}

// unwrittenEvents is more than a job can have told within the delay of a record
// (saveSoon).
const unwrittenEvents = 1 << 16

// resumedJob is a job from the record. If the record may lack its last events,
// the next ones get numbers that were never used: otherwise a follower would take
// a new event for one that it has seen.
func (l *loop) resumedJob(r jobRecord) *job {
	j := &job{Job: r.Job, story: newStory(), seq: r.Seq, summary: r.Summary}
	n := len(r.Events)
	j.story.restore(0, uint64(n)+1, r.Events)
	if n > 0 {
		j.seq = max(j.seq, r.Events[n-1].Seq)
	}
	if l.im == nil {
		j.seq += unwrittenEvents
	}
	if j.State != control.JobRunning {
		j.story.end(j.value())
	}
	return j
}

// resumeWork gives a job its work back, and its pools.
func (l *loop) resumeWork(j *job, r jobRecord) error {
	switch j.Kind {
	case "reload", "restart", kindRollback, "worker restart":
		l.resumeCaller(j, r.Asker)
		w, err := l.resumed(j, r)
		if err != nil {
			return err
		}
		for _, c := range w.todo {
			c.pool.job = j
		}
		j.work = w
		return nil
	case kindConfig:
		return l.resumeConfig(j, r)
	case "revive": // takes no pool
	default:
		for _, name := range j.Pools {
			if p, err := l.pool(name); err == nil {
				p.job = j
			}
		}
	}
	if len(r.Empty) > 0 {
		j.work = &empty{waiting: l.slotsOf(r.Empty)}
		return nil
	}
	w := newFill(l.slotsOf(r.Fill))
	w.failed = r.Failed
	j.work = w
	return nil
}

// slotsOf are the slots of ids that still exist.
func (l *loop) slotsOf(ids []string) []*slot {
	var all []*slot
	for _, s := range l.slots() {
		if slices.Contains(ids, s.id()) {
			all = append(all, s)
		}
	}
	return all
}

// abandonLost gives up the successors of jobs that do not go on: nothing would
// let them take over, and the next reload would find their place taken.
func (l *loop) abandonLost() {
	mine := make(map[*slot]bool)
	for _, j := range l.running() {
		if w := j.cycles(); w != nil {
			for _, c := range w.todo {
				for _, s := range c.Slots {
					mine[c.pool.slots[s.Slot]] = s.inHand()
				}
			}
		}
	}
	for _, s := range l.slots() {
		if (s.next.some() || s.coming.gen != 0) && !mine[s] {
			l.step(s, input{kind: hAbandon})
		}
	}
}

func (l *loop) resumed(j *job, jr jobRecord) (*reloadJob, error) {
	w := &reloadJob{}
	w.errands.over = j.Kind != "restart" // the new code may be configured in another way
	for _, cr := range jr.Cycles {
		p, err := l.pool(cr.Pool)
		if err != nil {
			continue // the new code has no such pool: its workers have been dismissed
		}
		c, err := l.resumedReload(j, p, cr, jr.Asked)
		if err != nil {
			return nil, err
		}
		w.todo = append(w.todo, c)
	}
	return w, nil
}

func (l *loop) resumedReload(j *job, p *pool, cr cycleRecord, asked control.ReloadRequest) (*poolReload, error) {
	if cr.Again {
		return nil, errors.New("a worker was being replaced by the same")
	}
	if !cr.Begun {
		g, err := l.cfg.generation(p.spec)
		return newReload(p, g, asked), err
	}
	c := newReload(p, p.generation(cr.To), asked)
	if c.generation == nil {
		return nil, fmt.Errorf("generation %d of pool %s is lost", cr.To, p.spec.Name)
	}
	if cr.State == nil {
		c.reload = cr.state(j, p)
	} else {
		c.reload = *cr.State
	}
	if !c.known() {
		return nil, fmt.Errorf("this primary does not know how to go on with a reload that is %q", c.Phase)
	}
	for _, in := range c.loading(time.Now()) {
		c.step(l, j, in)
	}
	return c, nil
}

func (c *poolReload) loading(now time.Time) []reloadInput {
	all := []reloadInput{{kind: rLoaded, now: now}}
	for i, s := range c.Slots {
		to := c.To
		if c.Phase == reloadRollingBack {
			to = s.Before
		}
		if !c.pool.slots[s.Slot].prepares(to) { // it was just being started
			all = append(all, reloadInput{kind: rLost, at: i})
		}
	}
	return all
}

// known reports whether a recorded reload can go on.
func (c *poolReload) known() bool {
	return reloadTable[rLoaded][c.Phase] != nil &&
		!slices.ContainsFunc(c.Slots, func(s slotReload) bool { return s.Slot >= len(c.pool.slots) }) &&
		!slices.ContainsFunc(c.Leaving, func(o leaving) bool { return o.Slot >= len(c.pool.slots) })
}

// prepares reports whether a successor of a generation is under way.
func (s slotState) prepares(gen int) bool {
	return s.next.some() && s.next.gen == gen || s.coming.gen == gen
}

// state is the reload that an earlier primary recorded without its state, as far
// as the slots tell.
func (cr cycleRecord) state(j *job, p *pool) reload {
	r := reload{
		Phase: reloadCanary, From: cr.From, To: cr.To, Cause: cr.Cause, Counted: cr.Counted, Total: cr.Total,
		Watch: cr.Watch, Allowed: cr.Allowed, Watched: cr.Watched,
	}
	switch {
	case cr.Undoing:
		r.Phase = reloadRollingBack
	case cr.Canary:
		r.Phase = reloadReplacing
	}
	told := linesOf(j.events(), cr.To)
	slots := cyclable(p)
	j.caller.last(slots)
	for _, s := range slots {
		sr := slotReload{Slot: s.index, Step: slotPending, Before: cr.From}
		switch {
		case s.prepares(r.target()):
			sr.Step, sr.Successor, sr.Old = slotPreparing, s.next.inc, s.cur.inc
		case cr.Undoing && s.cur.gen != cr.To:
			sr.Step = slotOver
		case !cr.Undoing && s.gen == cr.To:
			sr.Step = slotChanged
			if old := s.outgoing(); s.cur.some() && (old != 0 || !told[s.id()]) {
				r.Leaving = append(r.Leaving, leavingOf(s, old, told[s.id()]))
			}
		}
		r.Slots = append(r.Slots, sr)
	}
	return r
}

func leavingOf(s *slot, old uint64, told bool) leaving {
	o := leaving{Slot: s.index, Step: leavingClosing, Successor: s.cur.inc, Old: old}
	if told {
		o.Step = leavingDraining
	}
	return o
}

// linesOf are the slots whose lines a job has printed for a generation.
func linesOf(events []control.JobEvent, gen int) map[string]bool {
	told := make(map[string]bool)
	for _, e := range events {
		if e.Event == control.StepReplaced && e.Generation == gen {
			told[e.Worker] = true
		}
	}
	return told
}
