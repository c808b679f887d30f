package primary

import (
	"fmt"
	"slices"
	"time"

	"github.com/norestart/norestart/control"
)

// reload cycles the workers of pools one pool after the other.
type reload struct {
	first *succession // of a restart; nil when it is over
	todo  []*cycle
}

// cycle gives the slots of one pool a successor each, a few at a time. The
// first is the canary: nothing else is touched before it has proved itself.
type cycle struct {
	pool     *pool
	to       *generation // to be adopted when the cycle begins; nil: replace by the same
	request  control.ReloadRequest
	begun    bool
	moved    bool // new workers accept on other addresses than the old
	back     bool // no more: those of the old again
	from, by int  // generations

	waiting []*seat       // not touched yet
	doing   []*change     // successor being prepared
	leaving []*change     // successor serves, the old process closes or drains
	changed []*seat       // done, in order
	before  map[*seat]int // what a changed slot ran
	canary  bool          // passed
	cause   string        // why the cycle failed
	lines   []string      // the last ones of who failed
	undoing bool          // changed slots go back to the old content
	counted int           // lines printed
	total   int
}

// change is one slot in hand.
type change struct {
	seat    *seat
	inc     uint64 // the successor; 0: it comes when the old process has gone
	old     uint64 // who it replaces; 0: none
	undo    bool   // back to what the slot ran before
	refill  bool   // no successor: the slot starts again what it ran before
	woken   bool   // the loop looks again when it has been ready for long enough
	since   time.Time
	told    bool // its line has been printed
	overdue bool
}

// closeTimeout is how long a retired worker may take to say that it accepts no
// more: one that cannot is stuck, and a stuck one must not accept later.
const closeTimeout = control.DefaultCallTimeout

func (w *reload) advance(l *loop, j *job) {
	if w.first != nil {
		if w.first.advance(l, j) {
			w.drop()
		}
		return
	}
	for len(w.todo) > 0 {
		c := w.todo[0]
		if !c.begun {
			if err := c.begin(l, j); err != nil {
				for _, never := range w.todo[1:] {
					never.drop()
				}
				l.finish(j, control.JobFailed, err.Error())
				return
			}
		}
		if !c.advance(l, j) {
			return
		}
		if c.cause != "" || j.cancelled {
			for _, never := range w.todo[1:] {
				never.drop()
			}
			c.end(l, j)
			return
		}
		w.todo = w.todo[1:]
	}
	l.finish(j, control.JobOK, "")
}

// drop lets go of what a restart was about that was refused.
func (w *reload) drop() {
	w.first.to.close()
	for _, c := range w.todo {
		c.drop()
	}
}

// drop lets go of a generation that was never begun.
func (c *cycle) drop() {
	if c.to != nil && !c.begun {
		c.to.close()
	}
}

func (c *cycle) begin(l *loop, j *job) error {
	c.begun = true
	c.before = make(map[*seat]int)
	c.from = c.pool.gen
	c.by = c.from
	if c.to != nil {
		l.adoptGeneration(c.pool, c.to)
		c.by = c.to.number
		var err error
		if c.moved, err = c.pool.relisten(); err != nil {
			c.to.burned = true
			return fmt.Errorf("%w; %s", err, c.unchanged(j))
		}
	}
	if c.waiting == nil {
		c.waiting = cyclable(c.pool)
	}
	j.asker.last(c.waiting)
	c.total = len(c.waiting)
	l.persist(true) // before the first spawn: the next primary must know what was meant
	c.pool.tidy()
	j.Total += c.total
	if c.total == 0 {
		j.note("pool %s: no worker runs, nothing to replace", c.pool.spec.Name)
	}
	return nil
}

// cyclable are the slots that a reload touches: not what is dead, done or
// stopped; a ready one first, for it is the canary.
func cyclable(p *pool) []*seat {
	var seats []*seat
	for _, s := range p.seats {
		if s.want == wantRun && s.hold != control.Dead && s.hold != control.Done {
			seats = append(seats, s)
		}
	}
	slices.SortStableFunc(seats, func(a, b *seat) int { return rank(a) - rank(b) })
	return seats
}

func rank(s *seat) int {
	if s.state() == control.Ready {
		return 0
	}
	return 1
}

// advance does what can be done now and tells whether the cycle is over.
func (c *cycle) advance(l *loop, j *job) bool {
	if c.cause != "" && !c.undoing {
		c.abort(l, j) // it was given up while there was no primary: nobody takes over any more
	}
	proved := c.canary
	c.doing = slices.DeleteFunc(c.doing, func(ch *change) bool { return c.prepared(l, j, ch) })
	if c.cause != "" && !c.undoing {
		c.abort(l, j)
	}
	switch {
	case j.cancelled && c.moved:
		c.abort(l, j) // a pool cannot keep two addresses
	case j.cancelled && !c.undoing:
		c.waiting = nil
	}
	c.goOn(l, j, c.canary && !proved)
	c.leaving = slices.DeleteFunc(c.leaving, func(ch *change) bool { return c.left(l, j, ch) })
	if len(c.waiting)+len(c.doing)+len(c.leaving) > 0 {
		return false
	}
	if c.cause != "" || j.cancelled {
		return true
	}
	if c.to != nil && c.stragglers(j) {
		return c.advance(l, j)
	}
	c.succeed()
	return true
}

// goOn begins the successors of the next slots. That the canary has passed is
// written while the next of them starts: a primary that is killed in between
// brings the canary back, and a successor that no record knows retires. Where a
// process retires before its successor it is written first: an empty slot would
// be such a one's.
func (c *cycle) goOn(l *loop, j *job, proved bool) {
	if proved && c.alone() {
		l.persist(true)
	}
	for len(c.waiting) > 0 && len(c.doing) < c.surge() {
		if c.alone() && !c.mayGo(l, j, c.waiting[0]) {
			break
		}
		c.replace(l)
	}
	if proved && !c.alone() {
		l.persist(true)
	}
}

// stragglers finds slots that came to life with the old content meanwhile: a
// dead one that was revived.
func (c *cycle) stragglers(j *job) bool {
	for _, s := range cyclable(c.pool) {
		if s.cur.some() && s.cur.gen != c.by {
			c.waiting = append(c.waiting, s)
		}
	}
	c.total += len(c.waiting)
	j.Total += len(c.waiting)
	return len(c.waiting) > 0
}

// surge is how many slots may be in hand: one until the canary has passed.
func (c *cycle) surge() int {
	switch {
	case !c.canary && !c.undoing:
		return 1
	case c.alone():
		return c.pool.spec.MaxUnavailable
	case c.request.MaxSurge > 0:
		return c.request.MaxSurge
	}
	return c.pool.spec.MaxSurge
}

// alone tells whether a process retires before its successor is started.
func (c *cycle) alone() bool {
	return c.request.MaxSurge < 0 || c.pool.spec.MaxSurge < 0
}

// replace begins the successor of the next slot.
func (c *cycle) replace(l *loop) {
	s := c.waiting[0]
	c.waiting = c.waiting[1:]
	if s.want != wantRun || s.next.some() || s.coming.gen != 0 {
		return
	}
	if c.to != nil && !c.undoing && s.cur.serves() && s.cur.gen == c.by {
		c.changed = append(c.changed, s) // by an earlier primary, which had no time to write it down
		c.resumeLeaving(l, s, false)
		return
	}
	by := c.by
	switch {
	case c.undoing:
		by = c.before[s]
	case c.to == nil:
		by = s.gen // the same again
	}
	old := s.cur.inc
	l.step(s, input{kind: hPrepare, gen: by, within: c.request.Timeout, alone: c.alone()})
	if !s.prepares(by) {
		return
	}
	c.doing = append(c.doing, &change{seat: s, inc: s.next.inc, old: old, undo: c.undoing, since: time.Now()})
}

// prepared looks at a successor and tells whether it is in hand no more.
func (c *cycle) prepared(l *loop, j *job, ch *change) bool {
	if ch.inc == 0 {
		ch.inc = ch.seat.next.inc // 0: those that retire have not gone
		return ch.inc == 0 && ch.seat.coming.gen == 0
	}
	p, at := ch.seat.find(ch.inc)
	if at != atNext {
		c.failed(j, ch)
		return true
	}
	if !p.serves() {
		return false
	}
	if wait := c.soak() - time.Since(p.readyAt); wait > 0 {
		if !ch.woken {
			ch.woken = true
			l.wake(wait)
		}
		return false
	}
	if !c.mayGo(l, j, ch.seat) {
		return false
	}
	if cur := ch.seat.cur.inc; cur != 0 {
		ch.old = cur
	}
	ch.since = time.Now()
	c.before[ch.seat] = ch.seat.gen
	l.step(ch.seat, input{kind: hCommit})
	c.canary = true
	c.changed = append(c.changed, ch.seat)
	c.leaving = append(c.leaving, ch)
	l.wake(closeTimeout)
	return true
}

// soak is how long a successor has to stay ready before the old one retires.
func (c *cycle) soak() time.Duration {
	if !c.canary && !c.undoing && c.to != nil {
		return max(c.pool.spec.Canary, c.pool.spec.MinReady)
	}
	return c.pool.spec.MinReady
}

// failed keeps why a successor did not make it.
func (c *cycle) failed(j *job, ch *change) {
	e := ch.seat.failureOf(ch.inc)
	cause := fmt.Sprintf("worker %s: generation %d %s", ch.seat.id(), c.by, exitText(e))
	j.step(control.JobEvent{Event: "failed", Worker: ch.seat.id(), PID: e.PID, Generation: c.by, Error: exitText(e), Text: cause, Lines: e.Lines})
	if c.cause == "" {
		c.cause, c.lines = cause, e.Lines
	}
	c.refill(ch)
}

// abort gives up what is in hand and brings changed slots back.
func (c *cycle) abort(l *loop, j *job) {
	c.waiting = nil
	for _, ch := range c.doing {
		l.step(ch.seat, input{kind: hAbandon})
		c.refill(ch)
	}
	c.doing = nil
	keep := c.request.Keep && !c.moved // a pool cannot keep two addresses
	if c.moved {
		c.moved, c.back = false, true
		c.pool.swapBack()
	}
	if keep || len(c.changed) == 0 || c.to == nil {
		return
	}
	c.undoing = true
	j.note("rolling back %s", ids(c.changed))
	c.by = c.from
	c.waiting = slices.Clone(c.changed)
	slices.Reverse(c.waiting)
	c.changed = nil
}

// succeed makes the new generation what every slot of the pool starts.
func (c *cycle) succeed() {
	if c.to == nil {
		return
	}
	c.pool.gen = c.by
	c.pool.failure = ""
	c.pool.dropFormer()
	for _, s := range c.pool.seats {
		if !s.cur.some() {
			s.gen = c.by
		}
	}
}
