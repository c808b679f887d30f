package primary

import (
	"fmt"
	"slices"
	"time"

	"github.com/norestart/norestart/control"
)

// reloadJob reloads pools one after the other. Its states and transitions are in
// reload_state.go.
type reloadJob struct {
	errands errands
	first   *execInPlace // of a restart; nil when it is over
	todo    []*poolReload
}

// poolReload is a reload with its pool, slots and generation.
type poolReload struct {
	reload
	pool       *pool
	generation *generation // which the pool gets when its turn comes; nil: each slot its own again
	request    control.ReloadRequest
	only       []*slot // nil: all that run
}

// newReload is the reload of a pool to a generation; nil: each slot to its own
// again.
func newReload(p *pool, g *generation, r control.ReloadRequest) *poolReload {
	return &poolReload{reload: reload{Phase: reloadQueued, Again: g == nil}, pool: p, generation: g, request: r}
}

func (w *reloadJob) advance(l *loop, j *job) {
	if !w.errands.advance(l, j, w) {
		if j.State != control.JobRunning {
			w.end()
		}
		return
	}
	if w.first != nil {
		if w.first.advance(l, j) {
			w.end()
		}
		return
	}
	switch c, err := w.cycle(l, j); {
	case err != nil:
		w.drop(w.todo[1:])
		l.finish(j, control.JobFailed, err.Error())
	case c != nil:
		w.drop(w.todo[1:])
		c.end(l, j)
	case len(w.todo) == 0:
		l.finish(j, control.JobOK, "")
	}
}

// cycle does what can be done now. It returns the reload that could not begin, or
// did not end well; nil: there is none.
func (w *reloadJob) cycle(l *loop, j *job) (*poolReload, error) {
	for len(w.todo) > 0 {
		c := w.todo[0]
		if c.Phase == reloadQueued {
			if err := c.begin(l, j); err != nil {
				return nil, err
			}
		}
		c.advance(l, j)
		switch {
		case !c.ended():
			return nil, nil
		case c.Phase != reloadDone:
			return c, nil
		}
		w.todo = w.todo[1:]
	}
	return nil, nil
}

// cycles are the reloads of a job, which may not be its only work; nil: none.
func (j *job) cycles() *reloadJob {
	switch w := j.work.(type) {
	case *reloadJob:
		return w
	case *configJob:
		return &w.cycles
	}
	return nil
}

// end forgets what it has not begun.
func (w *reloadJob) end() {
	if w.first != nil {
		w.first.to.close()
	}
	w.drop(w.todo)
}

func (*reloadJob) drop(todo []*poolReload) {
	for _, c := range todo {
		if c.Phase == reloadQueued && c.generation != nil {
			c.generation.close()
		}
	}
}

// reloading is the reload that has the pool now; nil: none.
func (p *pool) reloading() *poolReload {
	if p.job == nil {
		return nil
	}
	w := p.job.cycles()
	if w == nil || len(w.todo) == 0 || w.todo[0].pool != p || w.todo[0].Phase == reloadQueued {
		return nil
	}
	return w.todo[0]
}

// moves reports whether the pool goes to other addresses.
func (c *poolReload) moves() bool {
	return !slices.Equal(c.pool.listenOf(c.From), c.pool.listenOf(c.To))
}

func (c *poolReload) policy() reloadPolicy { return reloadPolicy{c.pool.spec, c.request} }

func (c *poolReload) begin(l *loop, j *job) error {
	p := c.pool
	c.From, c.To = p.gen, p.gen
	if c.generation != nil {
		l.addGeneration(p, c.generation)
		c.To = c.generation.number
		if err := p.listen(c.To); err != nil {
			c.generation.decide(control.Failed, err.Error())
			return fmt.Errorf("%w; %s", err, c.unchanged(j))
		}
	}
	c.setWatch()
	slots := cyclable(p)
	if c.only != nil {
		slots = slices.Clone(c.only)
	}
	j.caller.last(slots)
	in := reloadInput{kind: rBegin, now: time.Now()}
	for _, s := range slots {
		in.slots = append(in.slots, slotReload{Slot: s.index, Step: slotPending})
	}
	c.step(l, j, in)
	p.tidy()
	return nil
}

// cyclable are the slots that a reload fills with new workers: not those that are
// done or stopped; a ready one first, as the canary. What the clock starts gets the
// new generation the next time.
func cyclable(p *pool) []*slot {
	if p.spec.Schedule != "" {
		return nil
	}
	var slots []*slot
	for _, s := range p.slots {
		if s.want == wantRun && s.hold != control.Done {
			slots = append(slots, s)
		}
	}
	slices.SortStableFunc(slots, func(a, b *slot) int { return rank(a) - rank(b) })
	return slots
}

func rank(s *slot) int {
	if s.state() == control.Ready {
		return 0
	}
	return 1
}

// advance does what can be done now.
func (c *poolReload) advance(l *loop, j *job) {
	for !c.ended() {
		in, ok := c.sense(j, time.Now())
		if !ok {
			return
		}
		c.step(l, j, in)
	}
}

// step applies an input to the reload and carries out what follows.
func (c *poolReload) step(l *loop, j *job, in reloadInput) {
	next, todo := stepReload(c.reload, c.policy(), in)
	j.Total += next.Total - c.Total
	j.Done += next.Counted - c.Counted
	c.reload = next
	l.changed = true
	for _, a := range todo {
		c.do(l, j, a)
	}
}

func (c *poolReload) do(l *loop, j *job, a reloadAction) {
	s := c.pool.slots[a.slot:]
	switch a.kind {
	case doWrite:
		l.persist(true)
	case doPrepare:
		l.step(s[0], input{kind: hPrepare, gen: a.gen, within: c.request.Timeout, alone: c.policy().alone()})
	case doCommit:
		l.step(s[0], input{kind: hCommit})
	case doAbandon:
		l.step(s[0], input{kind: hAbandon})
	case doKillLeaving:
		s[0].note(a.leaving.Old, fmt.Sprintf("did not stop accepting within %v", c.closeWait(a.leaving)))
		l.signal(s[0], a.leaving.Old, sigKill)
	case doWake:
		l.wake(a.after)
	case doSucceed:
		c.succeed(j)
	default:
		c.tell(j, a)
	}
}

func (c *poolReload) succeed(j *job) {
	if c.Again {
		return
	}
	p := c.pool
	if c.Total > 0 {
		c.generation.decide(control.Good, "")
	}
	if j.Kind == kindRollback {
		p.leave(p.generation(c.From), c.generation, j.Owner)
	}
	j.summary = append(j.summary, c.summary())
	p.gen = c.To
	p.failure = ""
	for _, s := range p.slots {
		if !s.cur.some() {
			s.gen = c.To
		}
	}
}

// end ends the job of a reload that failed or was cancelled, and says what runs.
func (c *poolReload) end(l *loop, j *job) {
	c.judge()
	what := c.unchanged(j)
	if c.Counted > 0 {
		what = c.mix()
	}
	if c.Phase == reloadFailed {
		l.finish(j, control.JobFailed, fmt.Sprintf("%s; %s", c.Cause, what))
		return
	}
	if !c.Watched.IsZero() {
		what = "it is no longer watched; " + what
	}
	l.finish(j, control.JobCancelled, "cancelled: "+what)
}

// judge notes what became of the generation of a reload that did not end well.
func (c *poolReload) judge() {
	if !c.Again && c.Cause != "" {
		c.generation.decide(control.Failed, c.Cause)
	}
}
