package primary

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/norestart/norestart/control"
)

// scale changes a pool's target.
func (l *loop) scale(r control.ScaleRequest, owner string) (*job, error) {
	p, err := l.pool(r.Pool)
	if err != nil {
		return nil, err
	}
	to, err := p.checkTarget(r)
	if err != nil {
		return nil, err
	}
	if p.job != nil {
		return nil, busy(p.job.Job)
	}
	if p.adoption == nil { // what comes back may be more: it is grown then
		if err := p.grow(to); err != nil {
			return nil, err
		}
	}
	from := p.target
	what := fmt.Sprintf("%s from %d to %d", p.spec.Name, from, to)
	if to < from {
		w := &empty{waiting: slices.Clone(p.slots[to:from])}
		j, err := l.begin("scale", what, owner, []*pool{p}, w)
		if err == nil {
			p.target, j.Total = to, len(w.waiting)
			l.persist(true)
		}
		return j, err
	}
	for len(p.slots) < to {
		p.slots = append(p.slots, newSlot(p, len(p.slots)))
	}
	for _, s := range p.slots[from:to] {
		if s.idle() {
			s.gen = p.gen
		}
	}
	j, err := l.begin("scale", what, owner, []*pool{p}, newFill(slices.Clone(p.slots[from:to])))
	if err == nil {
		p.target, j.Total = to, to-from
		l.persist(true)
	}
	return j, err
}

func (p *pool) checkTarget(r control.ScaleRequest) (int, error) {
	to := r.To
	switch {
	case p.spec.BuiltIn:
		return 0, &control.Error{Code: control.ErrUsage.Code, Message: fmt.Sprintf("pool %s is built in and always has %d", r.Pool, p.target)}
	case r.Seen != nil && *r.Seen != p.target:
		return 0, &control.Error{Code: control.ErrConflict.Code, Message: fmt.Sprintf("the target of %s is %d now, not %d", r.Pool, p.target, *r.Seen), Hint: "status"}
	case to == control.Auto:
		to = autoWorkers()
	}
	if to < 0 || to > p.spec.MaxWorkers {
		return 0, &control.Error{Code: control.ErrUsage.Code, Message: fmt.Sprintf("scale %s to %d: must be between 0 and %d", r.Pool, r.To, p.spec.MaxWorkers)}
	}
	return to, nil
}

// reload begins new generations of the named pools, or of all pools of the
// application.
func (l *loop) reload(r control.ReloadRequest, owner string, now *Configuration) (*job, error) {
	pools, err := l.reloadable(r.Pools)
	if err != nil {
		return nil, err
	}
	for _, p := range pools {
		if p.job != nil {
			return nil, busy(p.job.Job)
		}
		if err := p.checkSurge(r.MaxSurge); err != nil {
			return nil, err
		}
	}
	if err := now.renew(pools); err != nil {
		return nil, err
	}
	names := strings.Join(r.Pools, " ")
	return l.cycle("reload", names, owner, pools, r)
}

// renew takes in what the configuration says now of generations to come of these
// pools. All else of it is for a reload of the configuration.
func (c *Configuration) renew(pools []*pool) error {
	if c == nil {
		return nil
	}
	for _, p := range pools {
		if c.pool(p.spec.Name) == nil {
			return noLongerThere(p)
		}
	}
	for _, p := range pools {
		p.spec, p.told = withContent(p.spec, c.pool(p.spec.Name).WithDefaults()), c.Settings[p.spec.Name]
	}
	return nil
}

func noLongerThere(p *pool) error {
	return &control.Error{Code: control.ErrNoPool.Code, Message: fmt.Sprintf("pool %s is in the configuration no more: nothing was changed", p.spec.Name), Hint: "config reload"}
}

// checkSurge refuses a reload that a pool cannot do.
func (p *pool) checkSurge(n int) error {
	switch {
	case n > 0 && p.spec.MaxSurge < 0:
		return &control.Error{Code: control.ErrUsage.Code, Message: fmt.Sprintf("the workers of %s must not overlap: leave out --max-surge", p.spec.Name)}
	case n < 0 && p.spec.MaxOutgoing > 0:
		return &control.Error{Code: control.ErrUsage.Code, Message: fmt.Sprintf("sessions of %s outlive a reload: --max-surge must be 1 or more", p.spec.Name)}
	}
	return nil
}

func autoWorkers() int { return runtime.GOMAXPROCS(0) }

func (l *loop) reloadable(names []string) ([]*pool, error) {
	var pools []*pool
	for _, name := range names {
		p, err := l.pool(name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(pools, p) {
			pools = append(pools, p)
		}
	}
	if len(names) == 0 {
		for _, p := range l.pools {
			if !p.spec.BuiltIn {
				pools = append(pools, p)
			}
		}
	}
	return pools, nil
}

// restart begins new generations of every pool, the built-in ones last.
func (l *loop) restart(r control.RestartRequest, owner string) (*job, error) {
	pools := slices.Clone(l.pools)
	slices.SortStableFunc(pools, func(a, b *pool) int { return l.order(a) - l.order(b) })
	if r.Primary {
		pools = nil
	}
	for _, j := range l.running() {
		if w, ok := j.work.(*reloadJob); ok && w.first != nil {
			return nil, busy(j.Job) // of the primary, which belongs to no pool
		}
	}
	g, err := l.cfg.generation(control.PoolSpec{}) // of the primary itself
	if err != nil {
		return nil, fmt.Errorf("restart: %w", err)
	}
	j, err := l.cycle("restart", what(r), owner, pools, control.ReloadRequest{})
	if err != nil {
		g.close()
		return nil, err
	}
	j.work.(*reloadJob).first = &execInPlace{to: g}
	return j, nil
}

func what(r control.RestartRequest) string {
	if r.Primary {
		return "of the primary alone"
	}
	return ""
}

// order is that of a restart: what serves the operator comes last.
func (l *loop) order(p *pool) int {
	switch {
	case p.spec.Name == l.cfg.Spec.Admin:
		return 2
	case p.spec.BuiltIn:
		return 1
	}
	return 0
}

func (l *loop) cycle(kind, what, owner string, pools []*pool, r control.ReloadRequest) (*job, error) {
	w, err := l.cycleOf(kind, pools, r)
	if err != nil {
		w.end()
		return nil, err
	}
	j, err := l.begin(kind, what, owner, pools, w)
	if err != nil {
		w.errands.drop()
		w.end()
	}
	return j, err
}

// cycleOf has the generations to come, unless updates come before them.
func (l *loop) cycleOf(kind string, pools []*pool, r control.ReloadRequest) (w *reloadJob, err error) {
	w = &reloadJob{}
	if r.Update {
		if w.errands, err = l.updatesOf(pools); err != nil {
			return w, err
		}
	}
	for _, p := range pools {
		c := newReload(p, nil, r)
		if !r.Update {
			if c.generation, err = l.cfg.generation(p.spec); err != nil {
				return w, fmt.Errorf("%s: %w", kind, err)
			}
			c.Again = false
		}
		w.todo = append(w.todo, c)
	}
	return w, nil
}

// stop ends everything. It overtakes whatever runs.
func (l *loop) stop(owner string) (*job, error) {
	if l.stopping {
		return l.stopJob, nil
	}
	for _, j := range l.running() {
		l.finish(j, control.JobCancelled, "the cluster is stopping")
	}
	var apps []*pool
	w := &empty{}
	for _, p := range l.pools {
		if p.spec.BuiltIn {
			continue
		}
		apps = append(apps, p)
		for _, s := range p.slots {
			if !s.idle() {
				w.waiting = append(w.waiting, s)
			}
		}
	}
	j, err := l.begin("stop", "", owner, apps, w)
	if err != nil {
		return nil, err
	}
	j.Total = len(w.waiting)
	l.stopping, l.stopJob = true, j
	l.tellManager("STOPPING=1")
	return j, nil
}

// revive starts dead or stopped workers again.
func (l *loop) revive(names []string, owner string) (*job, error) {
	slots, err := l.revivable(names)
	if err != nil {
		return nil, err
	}
	// No pool is taken: a reload leaves dead slots alone, and cycles those
	// that were revived meanwhile in its end.
	j, err := l.begin("revive", strings.Join(names, " "), owner, nil, newFill(slots))
	if err != nil {
		return nil, err
	}
	j.Total = len(slots)
	if len(slots) == 0 {
		j.note("no worker is dead; a stopped one is started by name: worker revive ID")
	}
	for _, s := range slots {
		if !slices.Contains(j.Pools, s.pool.spec.Name) {
			j.Pools = append(j.Pools, s.pool.spec.Name)
		}
		if s.idle() {
			s.gen = s.pool.gen
		}
		l.step(s, input{kind: hRevive})
	}
	l.persist(true) // the same as for a stop
	return j, nil
}

func (l *loop) revivable(names []string) ([]*slot, error) {
	var slots []*slot
	for _, name := range names {
		s, err := l.slot(name)
		if err != nil {
			return nil, err
		}
		slots = append(slots, s)
	}
	if len(names) > 0 {
		return slots, nil
	}
	for _, s := range l.slots() {
		if s.state() == control.Dead {
			slots = append(slots, s)
		}
	}
	return slots, nil
}

// restartWorker replaces one worker by another of the same generation.
func (l *loop) restartWorker(id, owner string) (*job, error) {
	s, err := l.slot(id)
	if err != nil {
		return nil, err
	}
	if !s.cur.some() {
		return nil, &control.Error{Code: control.ErrConflict.Code, Message: fmt.Sprintf("worker %s is %s", id, s.state()), Hint: "worker revive " + id}
	}
	return l.restartWorkers([]*slot{s}, owner)
}

// stopWorker empties one slot until it is revived.
func (l *loop) stopWorker(id, owner string) (*job, error) {
	s, err := l.slot(id)
	if err != nil {
		return nil, err
	}
	if s.pool.spec.BuiltIn {
		return nil, &control.Error{Code: control.ErrUsage.Code, Message: fmt.Sprintf("worker %s is built in and stays", id), Hint: "worker restart " + id}
	}
	j, err := l.begin("worker stop", id, owner, []*pool{s.pool}, &empty{waiting: []*slot{s}})
	if err != nil {
		return nil, err
	}
	j.Total = 1
	l.step(s, input{kind: hWant, want: wantStopped})
	l.persist(true) // who is told that it was done must not find it undone by the next primary
	return j, nil
}
