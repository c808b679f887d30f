package primary

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/norestart/norestart/control"
)

// fail takes everything back.
func (w *configJob) fail(l *loop, j *job, cause string) {
	w.Cause, j.cancelled = cause, false
	w.cycles.errands.drop()
	w.cycles.drop(w.cycles.todo)
	w.cycles.todo = nil
	j.note("%s: everything goes back", cause)
	w.restore(l)
	w.enter(l, configUndoing)
	l.wake(0) // it begins when the slots have their wishes
}

// restore makes wishes of what was.
func (w *configJob) restore(l *loop) {
	for _, c := range w.Pools {
		p, err := l.pool(c.Name)
		was := w.From.pool(c.Name)
		switch {
		case err != nil:
		case was == nil:
			p.ending = true
		default:
			p.spec, p.told, p.target = *was, w.From.Settings[c.Name], c.From
		}
	}
}

// undo brings each pool back to the generation that it had, and ends new pools.
func (w *configJob) undo(l *loop, j *job) bool {
	if c, err := w.cycles.cycle(l, j); c != nil || err != nil {
		if c != nil {
			c.judge()
		}
		w.cycles.todo = w.cycles.todo[1:] // its events tell why
		return true
	}
	if len(w.cycles.todo) > 0 {
		return false
	}
	for i := range w.Pools {
		c := &w.Pools[i]
		p, err := l.pool(c.Name)
		if err != nil || c.Back || c.Gen == 0 || p.runsOnly(c.Gen) {
			continue
		}
		c.Back = true
		if g := p.generation(c.Gen); g == nil {
			j.note("generation %d of pool %s is lost", c.Gen, c.Name)
		} else if again, err := g.copy(); err != nil {
			j.note("pool %s: %v", c.Name, err)
		} else {
			w.cycles.todo = append(w.cycles.todo, newReload(p, again, control.ReloadRequest{Watch: control.NoWatch}))
			return true
		}
	}
	if !w.gone(l) {
		return false
	}
	w.undone(l, j)
	return true
}

// runsOnly tells whether a pool runs the content of a generation, and nothing else.
func (p *pool) runsOnly(number int) bool {
	root := number
	if g := p.generation(number); g != nil {
		root = g.root()
	}
	same := func(n int) bool {
		g := p.generation(n)
		return g != nil && g.root() == root
	}
	return same(p.gen) && !slices.ContainsFunc(p.slots, func(s *slot) bool {
		return s.cur.some() && !same(s.cur.gen) || s.want == wantRun && !same(s.gen)
	})
}

func (w *configJob) undone(l *loop, j *job) {
	var stuck []string
	for _, c := range w.Pools {
		p, err := l.pool(c.Name)
		switch {
		case err != nil:
		case p.ending:
			l.removePool(c.Name)
		case c.Gen != 0 && !p.runsOnly(c.Gen):
			stuck = append(stuck, c.Name)
		}
	}
	l.cfg.Spec, l.cfg.Settings = w.From.Spec, w.From.Settings
	what := "; everything is as it was"
	if len(stuck) > 0 {
		what = fmt.Sprintf("; all else is as it was, but pool %s could not go back: generation list", strings.Join(stuck, ", "))
	}
	if w.Cause == "cancelled" {
		l.finish(j, control.JobCancelled, w.Cause+what)
		return
	}
	l.finish(j, control.JobFailed, w.Cause+what)
}

// configuration is what runs, as far as it is not of generations.
func (l *loop) configuration() Configuration {
	c := Configuration{Spec: l.cfg.Spec, Settings: make(map[string][]byte)}
	c.Spec.Pools = nil
	for _, p := range l.pools {
		c.Spec.Pools = append(c.Spec.Pools, p.spec)
		c.Settings[p.spec.Name] = p.told
	}
	return c
}

// addPool opens a pool of another program. Its workers are started when the loop
// goes on.
func (l *loop) addPool(spec control.PoolSpec, told []byte, g *generation) (*pool, error) {
	n := workersOf(spec)
	p := newPool(spec, told, n)
	if len(l.pools) > 0 {
		p.given = l.pools[0].given // it is that of all
	}
	if p.protocol == nil {
		g.close()
		return nil, fmt.Errorf("pool %s: unknown protocol %q", spec.Name, spec.Protocol)
	}
	at := slices.IndexFunc(l.pools, func(o *pool) bool { return o.spec.BuiltIn })
	if at < 0 {
		at = len(l.pools)
	}
	l.pools = slices.Insert(l.pools, at, p)
	l.appointFor(p)
	l.addGeneration(p, g)
	p.gen = g.number
	err := p.listen(p.gen)
	if err == nil {
		err = p.grow(max(n, 1))
	}
	if err != nil {
		l.removePool(spec.Name)
		return nil, err
	}
	for len(p.slots) < n {
		p.slots = append(p.slots, newSlot(p, len(p.slots)))
	}
	return p, nil
}

// removePool closes a pool of which nothing runs.
func (l *loop) removePool(name string) {
	i := slices.IndexFunc(l.pools, func(p *pool) bool { return p.spec.Name == name })
	p := l.pools[i]
	p.unlisten()
	l.shut = append(l.shut, p.shut...)
	for _, g := range p.generations {
		g.forget()
	}
	if p.keeper != nil {
		p.keeper.keeps = slices.DeleteFunc(p.keeper.keeps, func(o *pool) bool { return o == p })
	}
	l.pools = slices.Delete(l.pools, i, i+1)
	l.changed = true
}

// config is an unfinished job of the record that takes in a configuration; nil:
// there is none.
func (r *record) config() *configState {
	if r == nil || r.Stopped {
		return nil
	}
	for _, j := range r.Jobs {
		if j.Config != nil {
			return j.Config
		}
	}
	return nil
}

// goingOn is what a primary runs whose last one died while it took in another
// configuration: all pools that may have workers.
func (cfg Config) goingOn(r *record) Config {
	c := r.config()
	if c == nil {
		return cfg
	}
	base, more := c.From, c.To
	if c.Phase == configEnding {
		base, more = c.To, c.From
	}
	cfg.Spec, cfg.Settings = base.Spec, base.Settings
	cfg.Spec.Pools = slices.Clone(base.Spec.Pools)
	for _, spec := range more.Spec.Pools {
		if base.pool(spec.Name) == nil {
			cfg.Spec.Pools = append(cfg.Spec.Pools, spec)
		}
	}
	return cfg
}

// resumeConfig goes on with what a primary had begun: back, unless it only waited
// for what ends.
func (l *loop) resumeConfig(j *job, r jobRecord) error {
	if r.Config == nil {
		return errors.New("the record does not say what it changed")
	}
	w := &configJob{configState: *r.Config, told: make(map[*slot]bool)}
	r.Cycles = slices.DeleteFunc(r.Cycles, func(c cycleRecord) bool { return !c.Begun })
	if cycles, err := l.resumed(j, r); err == nil { // else it goes back without it
		w.cycles.todo = cycles.todo
	}
	j.work = w
	for _, p := range l.pools {
		p.job = j
	}
	if w.Phase == configEnding {
		for _, c := range w.Pools {
			if p, err := l.pool(c.Name); err == nil {
				p.ending = c.Follows == control.FollowsEnd
			}
		}
		return nil
	}
	if w.Phase != configUndoing {
		w.Phase, w.Cause = configUndoing, "the primary was replaced before all of it had proved itself"
		w.cycles.doom(w.Cause)
	}
	w.restore(l)
	return nil
}

// doom lets the reload in progress fail, if there is one.
func (w *reloadJob) doom(cause string) bool {
	if len(w.todo) == 0 || w.todo[0].Phase == reloadQueued {
		return false
	}
	if c := w.todo[0]; c.Cause == "" && reloadTable[rGiveUp][c.Phase] != nil {
		c.Cause = cause
	}
	return true
}
