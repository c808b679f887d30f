package primary

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/norestart/norestart/control"
)

// kindConfig is the kind of a job that takes in the configuration.
const kindConfig = "config reload"

// configJob takes in a configuration as a whole, or not at all.
//
//	checking ──► adding ──► replacing ──► growing ──► ending ──► ok
//	    │           └───────────┴─ fails ─────┘
//	    ▼                            ▼
//	  failed                      undoing ──► failed
//
// The checks of the pools come before anything changes. Then new pools start, then
// new generations of those that change, then more workers. All of that can be taken
// back. Only when it has proved itself do pools
// and workers end that are not wanted any more: there is no way back from there.
type configJob struct {
	configState
	prop   *proposal        // until it is checked
	cycles reloadJob        // the reloads in progress
	before map[*slot]uint64 // the last exits when it began
	told   map[*slot]bool   // of which it was told that they are ready
	due    time.Time        // when it looks again
}

// configState is what the record has of it.
type configState struct {
	Phase configPhase   `cbor:"phase"`
	From  Configuration `cbor:"from"`
	To    Configuration `cbor:"to"`
	Pools []configPool  `cbor:"pools"`
	Cause string        `cbor:"cause,omitempty"` // why it failed
}

type configPhase string

const (
	configChecking  configPhase = "checking"  // pools that are new or change are checked
	configAdding    configPhase = "adding"    // new pools start
	configReplacing configPhase = "replacing" // pools get new generations, one after the other
	configGrowing   configPhase = "growing"   // more workers start
	configEnding    configPhase = "ending"    // what is not wanted any more ends
	configUndoing   configPhase = "undoing"   // all goes back
)

const nothingChanged = "; nothing was changed"

// configPool is what becomes of a pool.
type configPool struct {
	Name    string          `cbor:"name"`
	Follows control.Follows `cbor:"follows"`
	Gen     int             `cbor:"gen,omitempty"` // that it had
	From    int             `cbor:"from"`          // its target
	To      int             `cbor:"to"`
	Keys    []string        `cbor:"keys,omitempty"` // that change without a new generation
	Back    bool            `cbor:"-"`              // its way back has begun
}

// reconfigure begins to take in a configuration.
func (l *loop) reconfigure(prop *proposal, owner string) (*job, error) {
	all := l.diff(prop)
	if err := refused(all); err != nil {
		return nil, err
	}
	if err := l.clash(prop.Spec); err != nil {
		return nil, err
	}
	w := &configJob{configState: configState{Phase: configChecking, From: l.configuration(), To: prop.Configuration}, told: make(map[*slot]bool)}
	w.Pools = w.plan(l, all)
	j, err := l.begin(kindConfig, "", owner, l.pools, w)
	if err != nil {
		return nil, err
	}
	w.prop = prop.handOver()
	if err = w.addChecks(l); err == nil && len(w.cycles.errands.todo) > 0 {
		w.enter(l, configChecking)
		return j, nil
	}
	if err == nil {
		err = w.takeIn(l, j)
	}
	if err != nil {
		w.prop.close()
		l.withdraw(j)
		return nil, err
	}
	return j, nil
}

// takeIn begins with what was checked.
func (w *configJob) takeIn(l *loop, j *job) error {
	prop := w.prop
	if err := w.addPools(l, j, prop); err != nil {
		return fmt.Errorf("%w%s", err, nothingChanged)
	}
	for _, c := range w.Pools {
		p, _ := l.pool(c.Name) // of the plan
		if now := prop.pool(c.Name); now != nil {
			p.spec, p.told = *now, prop.Settings[c.Name]
		}
		if c.Follows == control.FollowsReload {
			w.cycles.todo = append(w.cycles.todo, newReload(p, prop.take(c.Name), control.ReloadRequest{}))
		}
	}
	slices.SortStableFunc(w.cycles.todo, func(a, b *poolReload) int { return l.order(a.pool) - l.order(b.pool) })
	w.before = make(map[*slot]uint64)
	for _, s := range l.slots() {
		w.before[s] = s.lastExit()
	}
	prop.close()
	w.enter(l, configAdding)
	return nil
}

// plan is what becomes of each pool that changes, or whose target is another than
// configured.
func (*configJob) plan(l *loop, all []control.PoolChanges) (pools []configPool) {
	for _, c := range all {
		of := configPool{Name: c.Pool, Follows: c.Follows, To: c.Workers}
		if p, err := l.pool(c.Pool); err == nil {
			of.Gen, of.From, of.To = p.gen, p.target, p.target
		}
		for _, change := range c.Changes {
			if change.Follows == control.FollowsLive {
				of.Keys = append(of.Keys, change.Key)
			}
		}
		pools = append(pools, of)
	}
	return pools
}

// addPools opens the new pools. They start when the loop goes on.
func (w *configJob) addPools(l *loop, j *job, prop *proposal) error {
	for i := range w.Pools {
		c, now := &w.Pools[i], prop.pool(w.Pools[i].Name)
		switch {
		case c.Follows == control.FollowsBegin:
			p, err := l.addPool(*now, prop.Settings[c.Name], prop.take(c.Name))
			if err != nil {
				for _, c := range w.Pools[:i] {
					if c.Follows == control.FollowsBegin {
						l.removePool(c.Name)
					}
				}
				return err
			}
			p.job, j.Pools = j, append(j.Pools, c.Name)
			j.Total += p.target
		case now != nil && slices.Contains(c.Keys, "workers"):
			c.To = workersOf(*now)
		}
	}
	return nil
}

// withdraw forgets a job that could not begin.
func (l *loop) withdraw(j *job) {
	l.finish(j, control.JobFailed, "it could not begin")
}

// enter begins a phase, and writes it down before anything of it is done.
func (w *configJob) enter(l *loop, phase configPhase) {
	w.Phase = phase
	l.persist(true)
}

func (w *configJob) advance(l *loop, j *job) {
	for more := true; more && j.State == control.JobRunning; {
		switch w.Phase {
		case configChecking:
			more = w.check(l, j)
		case configAdding, configGrowing:
			more = w.prove(l, j)
		case configReplacing:
			more = w.replace(l, j)
		case configEnding:
			more = w.end(l, j)
		case configUndoing:
			more = w.undo(l, j)
		}
	}
}

// prove waits until the workers that were added have proved themselves.
func (w *configJob) prove(l *loop, j *job) bool {
	cause := w.failed(l, j)
	if j.cancelled {
		cause = "cancelled"
	}
	if cause != "" {
		w.fail(l, j, cause)
		return false
	}
	waits := false
	for _, s := range w.added(l) {
		waits = !w.proved(l, j, s) || waits
	}
	switch {
	case waits:
	case w.Phase == configAdding:
		w.enter(l, configReplacing)
	default:
		w.commit(l, j)
	}
	return !waits
}

// added are the slots that have been started so far.
func (w *configJob) added(l *loop) (slots []*slot) {
	for _, c := range w.Pools {
		p, err := l.pool(c.Name)
		switch {
		case err != nil:
		case c.Follows == control.FollowsBegin:
			slots = append(slots, p.slots...)
		case w.Phase == configGrowing && c.To > c.From:
			slots = append(slots, p.slots[c.From:c.To]...)
		}
	}
	return slots
}

// failed tells why a worker that was added is no good; empty: all are.
func (w *configJob) failed(l *loop, j *job) string {
	for _, s := range w.added(l) {
		switch on := s.pool.waits; {
		case s.state() == control.Done:
		case s.lastExit() != w.before[s]:
			x := s.exits[0]
			w.before[s] = x.Incarnation // it is told once
			e := control.JobEvent{Event: control.StepFailed, Worker: s.id(), Generation: s.gen, Error: exitText(x), PID: x.PID, Lines: x.Lines}
			e.Text = fmt.Sprintf("worker %s %s", e.Worker, e.Error)
			j.step(e)
			return e.Text
		case on != nil && on.hopeless():
			return fmt.Sprintf("pool %s waits for pool %s, which does not become ready", s.pool.spec.Name, on.spec.Name)
		}
	}
	return ""
}

// proved tells whether a new worker has shown that it runs.
func (w *configJob) proved(l *loop, j *job, s *slot) bool {
	e := control.JobEvent{Worker: s.id(), Generation: s.gen, Event: control.StepReady, OK: true}
	switch left := time.Until(s.cur.readyAt.Add(max(s.pool.spec.Canary, s.pool.spec.MinReady))); {
	case s.state() == control.Done:
		e.Text = fmt.Sprintf("worker %s has done its work", e.Worker)
	case !s.cur.serves():
		return false
	case left > 0:
		if due := time.Now().Add(left); due.After(w.due) {
			w.due = due
			l.wake(left)
		}
		return false
	default:
		e.PID = s.processes[s.cur.inc].pid()
		e.Text = fmt.Sprintf("worker %s ready: pid %d, generation %d", e.Worker, e.PID, s.cur.gen)
	}
	if !w.told[s] {
		w.told[s] = true
		j.Done++
		j.step(e)
	}
	return true
}

// replace reloads the pools that change, and then lets them grow.
func (w *configJob) replace(l *loop, j *job) bool {
	if cause := w.failed(l, j); cause != "" && !w.cycles.doom(cause) {
		w.fail(l, j, cause)
		return false
	}
	if over, cause := w.cycles.errands.run(l, j, &w.cycles); !over {
		if cause != "" {
			w.fail(l, j, cause)
		}
		return false
	}
	switch c, err := w.cycles.cycle(l, j); {
	case err != nil:
		w.cycles.todo = w.cycles.todo[1:] // its generation is the pool's
		w.fail(l, j, err.Error())
	case c != nil:
		c.judge()
		w.fail(l, j, cmp.Or(c.Cause, "cancelled"))
	case len(w.cycles.todo) > 0:
	case j.cancelled:
		w.fail(l, j, "cancelled")
	default:
		return w.grow(l, j)
	}
	return false
}

// grow begins to start more workers; false: it cannot.
func (w *configJob) grow(l *loop, j *job) bool {
	w.enter(l, configGrowing)
	for _, c := range w.Pools {
		p, err := l.pool(c.Name)
		if err != nil || c.Follows == control.FollowsBegin || c.To <= p.target {
			continue
		}
		if err := p.grow(c.To); err != nil {
			w.fail(l, j, fmt.Sprintf("pool %s: %v", c.Name, err))
			return false
		}
		for len(p.slots) < c.To {
			p.slots = append(p.slots, newSlot(p, len(p.slots)))
		}
		for _, s := range p.slots[c.From:c.To] {
			if s.idle() {
				s.gen = p.gen
			}
		}
		j.Total += c.To - p.target
		p.target = c.To
	}
	return true
}

// commit lets end what is not wanted any more. From here on the job goes forward,
// whatever happens.
func (w *configJob) commit(l *loop, j *job) {
	for _, c := range w.Pools {
		p, err := l.pool(c.Name)
		if err != nil {
			continue
		}
		p.configured, p.target, p.ending = workersOf(p.spec), c.To, c.Follows == control.FollowsEnd
		if len(c.Keys) > 0 {
			j.summary = append(j.summary, control.JobEvent{Event: control.StepNote, OK: true, Text: fmt.Sprintf("%s: %s changed", c.Name, strings.Join(c.Keys, ", "))})
		}
	}
	w.enter(l, configEnding)
}

// end waits for what ends.
func (w *configJob) end(l *loop, j *job) bool {
	if !w.gone(l) {
		return false
	}
	for _, c := range w.Pools {
		verb := map[control.Follows]string{control.FollowsEnd: "has ended", control.FollowsBegin: "is new"}[c.Follows]
		if verb != "" {
			j.summary = append(j.summary, control.JobEvent{Event: control.StepSummary, OK: true, Text: fmt.Sprintf("%s: the pool %s", c.Name, verb)})
		}
		if c.Follows == control.FollowsEnd {
			l.removePool(c.Name)
		}
	}
	if len(w.Pools) == 0 {
		j.note("the configuration says what runs already")
	}
	l.cfg.Spec, l.cfg.Settings = w.To.Spec, w.To.Settings
	l.finish(j, control.JobOK, "")
	return true
}

// gone tells whether nothing is left of pools that end, and of workers above the
// targets.
func (w *configJob) gone(l *loop) bool {
	for _, c := range w.Pools {
		p, err := l.pool(c.Name)
		if err != nil {
			continue
		}
		for i, s := range p.slots {
			if (p.ending || i >= p.target) && (!s.idle() || len(s.leftovers) > 0) {
				return false
			}
		}
	}
	return true
}
