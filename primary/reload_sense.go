package primary

import (
	"fmt"
	"slices"
	"time"

	"github.com/norestart/norestart/control"
)

// sense compares a reload with its pool and returns what has happened to it;
// false: nothing. It changes nothing.
func (c *poolReload) sense(j *job, now time.Time) (reloadInput, bool) {
	in := reloadInput{now: now, moved: c.moves()}
	switch {
	case c.senseSuccessors(j, &in):
	case c.senseBad(&in):
	case c.doomed():
		from := c.pool.generation(c.From)
		in.kind, in.keep = rGiveUp, c.request.Keep || from != nil && from.givenUp()
	case j.cancelled && reloadTable[rCancel][c.Phase] != nil:
		in.kind = rCancel
	case c.Phase == reloadProved && c.policy().alone(): // an empty slot would be taken by an unrecorded process
		in.kind = rWrite
	case c.senseTurn(j, &in):
	case c.Phase == reloadProved:
		in.kind = rWrite
	case c.senseLeaving(&in), c.senseRefilled(&in):
	case !c.quiet():
		return in, false
	case c.senseStragglers(&in):
	case c.Phase != reloadWatching:
		in.kind = rSettled
	case now.Sub(c.Watched) >= c.Watch:
		in.kind = rWatched
	default:
		return in, false
	}
	return in, true
}

func (c *poolReload) senseSuccessors(j *job, in *reloadInput) bool {
	for i, s := range c.Slots {
		if in.at = i; s.inHand() && c.senseSuccessor(j, s, in) {
			return true
		}
	}
	return false
}

func (c *poolReload) senseSuccessor(j *job, sr slotReload, in *reloadInput) bool {
	s := c.pool.slots[sr.Slot]
	in.inc, in.gen = s.cur.inc, s.gen
	p, at := s.find(sr.Successor)
	switch {
	case sr.Successor == 0 && s.next.some():
		in.kind, in.inc = rStarted, s.next.inc
	case sr.Successor == 0: // those that retire have not gone
		in.kind = rDropped
		return s.coming.gen == 0
	case at != atNext:
		in.kind, in.event = rFailed, c.failure(s, sr.Successor)
	case !p.serves() || c.doomed():
		return false
	case sr.Step == slotPreparing:
		in.kind = rReady
	case in.now.Sub(p.readyAt) < c.soak(c.policy()):
		return false
	default:
		in.kind = rProved
		return c.mayGo(j, s, in)
	}
	return true
}

// failure is the line of a successor that failed.
func (c *poolReload) failure(s *slot, inc uint64) control.JobEvent {
	e := s.failureOf(inc)
	return control.JobEvent{
		Event: control.StepFailed, Worker: s.id(), PID: e.PID, Generation: c.target(), Error: exitText(e), Lines: e.Lines,
		Text: fmt.Sprintf("worker %s: generation %d %s", s.id(), c.target(), exitText(e)),
	}
}

// mayGo reports whether the process of a slot may retire now: the caller's only
// when all others are done and it has answered.
func (c *poolReload) mayGo(j *job, s *slot, in *reloadInput) bool {
	a := j.caller
	switch {
	case a == nil || a.inc != s.cur.inc || c.Phase == reloadRollingBack:
		return true
	case !c.othersDone(s):
		return false
	case a.told.IsZero():
		in.kind = rCallersTurn
		return true
	}
	return a.left || in.now.Sub(a.told) >= answerWait
}

func (c *poolReload) othersDone(s *slot) bool {
	return !slices.ContainsFunc(c.Slots, func(o slotReload) bool {
		return o.Slot != s.index && (o.Step == slotPending || o.inHand())
	}) && !slices.ContainsFunc(c.Leaving, func(o leaving) bool { return o.Step != leavingDraining })
}

// senseBad finds that the new generation is bad although its workers became ready:
// one of them was given up, or they crash more often than the old ones did.
func (c *poolReload) senseBad(in *reloadInput) bool {
	if c.Again || c.Cause != "" || reloadTable[rBad][c.Phase] == nil {
		return false
	}
	e := control.JobEvent{Event: control.StepFailed, Generation: c.To}
	n, last := c.crashed()
	switch {
	case c.generation.outcome == control.Failed:
		e.Text = fmt.Sprintf("generation %d: %s", c.To, c.generation.why)
	case c.Watch > 0 && n > c.Allowed:
		e.Worker, e.Error = last.id(), last.crashes.Why
		e.Text = fmt.Sprintf("generation %d crashed %s, generation %d %s in the %v before: last worker %s", c.To, times(n), c.From, times(c.Allowed), c.Watch, e.Worker)
		if e.Error != "" {
			e.Text += ": " + e.Error
		}
	default:
		return false
	}
	in.kind, in.event = rBad, e
	return true
}

// crashed is how often workers of the new generation have crashed, and the slot
// of the last crash. Each slot counts from its replacement on.
func (c *poolReload) crashed() (n int, last *slot) {
	for _, sr := range c.Slots {
		s := c.pool.slots[sr.Slot]
		if sr.Step != slotChanged || s.crashes.Count == 0 {
			continue
		}
		n += s.crashes.Count
		if last == nil || s.crashes.Last.After(last.crashes.Last) {
			last = s
		}
	}
	return n, last
}

// senseTurn looks at the first slot that has not been touched.
func (c *poolReload) senseTurn(j *job, in *reloadInput) bool {
	in.at = slices.IndexFunc(c.Slots, func(s slotReload) bool { return s.Step == slotPending })
	if in.at < 0 || !c.free(c.policy()) {
		return false
	}
	s := c.pool.slots[c.Slots[in.at].Slot]
	in.kind, in.inc, in.gen = rTurn, s.cur.inc, s.gen
	if c.policy().alone() && (!c.mayGo(j, s, in) || in.kind == rCallersTurn) {
		return in.kind == rCallersTurn
	}
	switch {
	case s.want != wantRun || s.next.some() || s.coming.gen != 0:
		in.kind = rSkip
	case !c.Again && c.Phase != reloadRollingBack && s.cur.serves() && s.cur.gen == c.To:
		in.kind, in.old = rAlready, s.outgoing()
	}
	return true
}

// outgoing is a process that the slot's current one has replaced by another
// generation; 0: none is left.
func (s *slot) outgoing() (inc uint64) {
	for _, o := range s.old {
		if o.gen != s.cur.gen {
			inc = o.inc
		}
	}
	return inc
}

func (c *poolReload) senseLeaving(in *reloadInput) bool {
	for i, o := range c.Leaving {
		r := c.pool.slots[o.Slot].processes[o.Old]
		in.at = i
		switch {
		case o.Step == leavingDraining && r == nil:
			in.kind = rGone
		case o.Step == leavingDraining && c.pool.spec.MaxOutgoing > 0:
			in.kind = rStays
		case o.Step != leavingDraining && (r == nil || r.closed):
			in.kind = rClosed
		case o.Step == leavingClosing && in.now.Sub(o.Since) >= c.closeWait(o):
			in.kind = rOverdue
		default:
			continue
		}
		return true
	}
	return false
}

// closeWait is longer for a process whose sockets nobody else takes over: it
// first accepts what waits there.
func (c *poolReload) closeWait(o leaving) time.Duration {
	if s := c.pool.slots[o.Slot]; s.leaves(s.processes[o.Old]) {
		return closeTimeout + c.pool.spec.LameDuck
	}
	return closeTimeout
}

// senseRefilled looks whether a slot runs again what it ran before, or cannot
// just now.
func (c *poolReload) senseRefilled(in *reloadInput) bool {
	for i, sr := range c.Slots {
		s := c.pool.slots[sr.Slot]
		if sr.Step == slotRefilling && (s.cur.serves() || s.want != wantRun || s.hold != "") {
			in.kind, in.at = rRefilled, i
			return true
		}
	}
	return false
}

// senseStragglers finds slots that came to life with the old generation
// meanwhile, such as a revived one.
func (c *poolReload) senseStragglers(in *reloadInput) bool {
	if c.Again || reloadTable[rStragglers][c.Phase] == nil {
		return false
	}
	for _, s := range cyclable(c.pool) {
		if s.cur.some() && s.cur.gen != c.To && !s.next.some() && s.coming.gen == 0 {
			in.slots = append(in.slots, slotReload{Slot: s.index, Step: slotPending})
		}
	}
	in.kind = rStragglers
	return len(in.slots) > 0
}
