package primary

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/norestart/norestart/control"
)

// dismiss asks the workers of pools to go that the new code has no more.
func (l *loop) dismiss(r *record) {
	for _, pr := range r.Pools {
		if _, err := l.pool(pr.Name); err == nil {
			continue
		}
		l.tell(control.Event{Kind: "pool.dismissed", Text: fmt.Sprintf("pool %s is not in the new code: its workers are asked to go", pr.Name)})
		for _, sr := range pr.Seats {
			for _, p := range sr.processes() {
				l.dismissProcess(p)
			}
		}
	}
}

// dismissProcess ends one process that has no slot: TERM lets it drain.
func (l *loop) dismissProcess(r processRecord) {
	p, err := l.cfg.Starter.Adopt(r.PID, r.Start)
	if err != nil {
		return // it has gone
	}
	_ = p.Signal(sigTerm) // it has gone: its exit tells
	l.spawn.wg.Go(func() {
		select {
		case <-p.Wait():
		case <-time.After(control.DefaultLameDuck + control.DefaultDrainTimeout + control.DefaultKillAfter):
			_ = p.Signal(sigKill)
			<-p.Wait()
		}
	})
}

func (r seatRecord) processes() []processRecord {
	all := slices.Clone(r.Old)
	for _, p := range []*processRecord{r.Cur, r.Next} {
		if p != nil {
			all = append(all, *p)
		}
	}
	return all
}

// resume takes up the jobs that were running: a reload whose canary had not
// passed is undone, one whose had goes on.
func (l *loop) resume(r *record) {
	l.lastJob = max(l.lastJob, r.LastJob)
	for _, e := range r.Ended {
		l.jobs = append(l.jobs, &job{Job: e.Job, events: e.Events, news: make(chan struct{})})
	}
	for _, jr := range r.Jobs {
		j := &job{Job: jr.Job, events: jr.Events, news: make(chan struct{})}
		if err := l.resumeWork(j, jr); err != nil {
			l.tell(control.Event{Kind: "job.lost", Job: jr.Job.ID, Text: fmt.Sprintf("job %s: cannot go on: %v", jr.Job.ID, err)})
			continue
		}
		l.jobs = append(l.jobs, j)
		if l.cfg.Back != "" {
			l.finish(j, control.JobFailed, "the new primary could not take over, the one before runs again: "+l.cfg.Back)
			continue
		}
		l.tell(control.Event{Kind: "job.resumed", Job: j.ID, Text: fmt.Sprintf("job %s: %s goes on under a new primary", j.ID, j.title())})
	}
	l.abandonLost()
}

// resumeWork gives a job its work back, and the pools that it has for itself.
func (l *loop) resumeWork(j *job, r jobRecord) error {
	switch j.Kind {
	case "reload", "restart", "rollback", "worker restart":
		w, err := l.resumed(r)
		if err != nil {
			return err
		}
		l.resumeAsker(j, r.Asker)
		for _, c := range w.todo {
			j.asker.last(c.waiting)
			c.pool.job = j
		}
		j.work = w
		return nil
	case "revive": // takes no pool
	default:
		for _, name := range j.Pools {
			if p, err := l.pool(name); err == nil {
				p.job = j
			}
		}
	}
	if len(r.Empty) > 0 {
		j.work = &empty{waiting: l.seats(r.Empty)}
		return nil
	}
	w := newFill(l.seats(r.Fill))
	w.failed = r.Failed
	j.work = w
	return nil
}

// seats are the slots of ids; those that are no more are left out.
func (l *loop) seats(ids []string) []*seat {
	var all []*seat
	for _, p := range l.pools {
		for _, s := range p.seats {
			if slices.Contains(ids, s.id()) {
				all = append(all, s)
			}
		}
	}
	return all
}

// abandonLost gives up the successors of jobs that do not go on: nobody would
// ever let them take over, and the next reload would find the place taken.
func (l *loop) abandonLost() {
	mine := make(map[*seat]bool)
	for _, j := range l.running() {
		if w, ok := j.work.(*reload); ok {
			for _, c := range w.todo {
				for _, ch := range c.doing {
					mine[ch.seat] = true
				}
			}
		}
	}
	for _, p := range l.pools {
		for _, s := range p.seats {
			if (s.next.some() || s.coming.gen != 0) && !mine[s] {
				l.step(s, input{kind: hAbandon})
			}
		}
	}
}

func (l *loop) resumed(jr jobRecord) (*reload, error) {
	w := &reload{}
	for _, cr := range jr.Cycles {
		p, err := l.pool(cr.Pool)
		if err != nil {
			continue // the new code has no such pool: its workers have been dismissed
		}
		c, err := l.resumedCycle(p, cr, jr.Asked, linesOf(jr.Events, cr.To))
		if err != nil {
			return nil, err
		}
		w.todo = append(w.todo, c)
	}
	return w, nil
}

// resumeUndo goes on with bringing changed slots back.
func (c *cycle) resumeUndo(p *pool, cr cycleRecord) {
	c.undoing, c.by = true, cr.From
	for _, s := range cyclable(p) {
		switch {
		case s.prepares(cr.From):
			c.doing = append(c.doing, &change{seat: s, inc: s.next.inc, undo: true, since: time.Now()})
		case s.cur.some() && s.cur.gen == cr.To:
			c.waiting = append(c.waiting, s)
		}
	}
}

// prepares tells whether a successor of a generation is under way.
func (s slot) prepares(gen int) bool {
	return s.next.some() && s.next.gen == gen || s.coming.gen == gen
}

// resumeLeaving goes on with waiting for the process that a successor has
// replaced; its line may have been printed.
func (c *cycle) resumeLeaving(l *loop, s *seat, told bool) {
	ch := &change{seat: s, inc: s.cur.inc, since: time.Now(), told: told}
	for _, o := range s.old {
		if o.gen != s.cur.gen {
			ch.old = o.inc
		}
	}
	if ch.old != 0 || !told {
		c.leaving = append(c.leaving, ch)
		l.wake(closeTimeout)
	}
}

// linesOf are the slots whose lines a job has printed for a generation.
func linesOf(events []control.JobEvent, gen int) map[string]bool {
	told := make(map[string]bool)
	for _, e := range events {
		if e.Event == "replaced" && e.Generation == gen {
			told[e.Worker] = true
		}
	}
	return told
}

func (l *loop) resumedCycle(p *pool, cr cycleRecord, asked control.ReloadRequest, told map[string]bool) (*cycle, error) {
	c := &cycle{pool: p, request: asked, begun: cr.Begun, from: cr.From, by: cr.To, canary: cr.Canary, cause: cr.Cause, counted: cr.Counted, total: cr.Total, before: make(map[*seat]int)}
	if cr.Again {
		return nil, errors.New("a worker was being replaced by the same")
	}
	if !cr.Begun {
		g, err := l.cfg.generation()
		c.to = g
		return c, err
	}
	c.to = p.generation(cr.To)
	if c.to == nil {
		return nil, fmt.Errorf("generation %d of pool %s is lost", cr.To, p.spec.Name)
	}
	for _, s := range cyclable(p) {
		c.before[s] = cr.From
	}
	if g := p.gathering; g != nil && len(g.former.addrs) > 0 {
		c.moved, c.back = !cr.Undoing, cr.Undoing
	}
	if cr.Undoing {
		c.resumeUndo(p, cr)
		return c, nil
	}
	for _, s := range cyclable(p) {
		switch {
		case s.prepares(cr.To):
			c.doing = append(c.doing, &change{seat: s, inc: s.next.inc, since: time.Now()})
		case s.cur.some() && s.cur.gen == cr.To:
			c.changed = append(c.changed, s)
			c.resumeLeaving(l, s, told[s.id()])
		default:
			c.waiting = append(c.waiting, s)
		}
	}
	if !cr.Canary && c.cause == "" {
		c.cause = "the primary was replaced before the first worker had proved itself"
	}
	return c, nil
}
