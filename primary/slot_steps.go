package primary

import (
	"fmt"
	"time"

	"github.com/norestart/norestart/control"
)

// settle compares the slot with the wish after every step: nowhere else is a
// process started or retired.
func (t *transition) settle() {
	if t.want != wantRun {
		t.forgive()
		t.hold = rest(t.pol)
		t.coming, t.alone = plan{}, false
		t.retire(&t.next, true)
		t.retire(&t.cur, true)
		return
	}
	switch {
	case !t.vacant() || t.in.closed || t.crowded():
	case t.coming.gen != 0:
		t.next = t.start(t.coming.gen, t.coming.within)
		t.coming = plan{}
	default:
		t.cur, t.alone = t.start(t.gen, 0), false
	}
}

// crowded reports whether a retiring process must have gone before another one is
// started.
func (t *transition) crowded() bool { return (t.alone || t.pol.MaxSurge < 0) && len(t.old) > 0 }

func (t *transition) start(gen int, within time.Duration) processState {
	if within <= 0 {
		within = t.pol.ReadyTimeout
	}
	p := processState{inc: t.in.fresh, gen: gen, since: t.in.now, within: within}
	t.act(action{kind: doSpawn, inc: p.inc, gen: gen})
	t.act(action{kind: doTimer, timer: hReadyTimeout, inc: p.inc, after: within})
	return p
}

// retire moves a process to the old ones and asks it to go. One that is not
// ready yet has nothing to drain.
func (t *transition) retire(from *processState, linger bool) {
	p := *from
	if !p.some() {
		return
	}
	*from = processState{}
	switch {
	case p.ending != notEnding: // lost or too slow: it has been killed
	case p.ready:
		t.drain(&p, linger, false)
	default:
		t.term(&p)
	}
	t.old = append(t.old, p)
	t.limitOld()
}

func (t *transition) drain(p *processState, linger, final bool) {
	p.ending, p.final, p.linger = told, final, p.linger || linger
	t.act(action{kind: doDrain, inc: p.inc, linger: p.linger, final: final})
	if t.pol.MaxOutgoing == 0 || final {
		t.act(action{kind: doTimer, timer: hDrainTimeout, inc: p.inc, after: t.pol.LameDuck + t.pol.DrainTimeout})
	}
}

func (t *transition) term(p *processState) {
	p.ending = termed
	t.act(action{kind: doTerm, inc: p.inc})
	t.act(action{kind: doTimer, timer: hKillTimeout, inc: p.inc, after: t.pol.KillAfter})
}

func (t *transition) kill(p *processState, why string) {
	p.ending, p.reason = killed, why
	t.act(action{kind: doKill, inc: p.inc, why: why})
}

// limitOld ends the oldest of the lasting processes if there are too many.
func (t *transition) limitOld() {
	if n := t.pol.MaxOutgoing; n == 0 || len(t.old) <= n {
		return
	}
	t.endOldest()
}

// endOldest skips those that have been told for good already.
func (t *transition) endOldest() {
	for i := range t.old {
		if t.old[i].ending == told && !t.old[i].final {
			t.drain(&t.old[i], false, true)
			return
		}
	}
}

func (t *transition) endAll() {
	for i := range t.old {
		if t.old[i].ending == told && !t.old[i].final {
			t.drain(&t.old[i], false, true)
		}
	}
}

func (t *transition) curReady(processState) {
	if t.cur.ready || t.cur.ending != notEnding {
		return
	}
	t.cur.ready, t.cur.readyAt = true, t.in.now
	t.act(action{kind: doTimer, timer: hStable, inc: t.cur.inc, after: t.pol.BackoffReset})
}

func (t *transition) nextReady(processState) {
	if !t.next.ready && t.next.ending == notEnding {
		t.next.ready, t.next.readyAt = true, t.in.now
	}
}

// stable: only a worker that stayed ready is forgiven.
func (t *transition) stable(processState) { t.failures = 0 }

func (t *transition) nextGone(processState) { t.next = processState{} }

func (t *transition) oldGone(p processState) {
	kept := t.old[:0]
	for _, o := range t.old {
		if o.inc != p.inc {
			kept = append(kept, o)
		}
	}
	t.old = kept
}

func (t *transition) tooSlow(p processState) {
	if p.ready || p.ending != notEnding {
		return
	}
	t.kill(t.at(p), fmt.Sprintf("not ready within %v", p.within))
}

func (t *transition) lost(p processState) {
	if p.ending != killed {
		t.kill(t.at(p), fmt.Sprintf("no beat for %v", t.pol.LostAfter))
	}
}

func (t *transition) overdue(p processState) {
	if p.ending == told {
		t.act(action{kind: doReport, inc: p.inc, why: fmt.Sprintf("has not drained within %v", t.pol.LameDuck+t.pol.DrainTimeout)})
		t.term(t.at(p))
	}
}

func (t *transition) stubborn(p processState) {
	if p.ending == termed {
		t.kill(t.at(p), fmt.Sprintf("ignored TERM for %v", t.pol.KillAfter))
	}
}

// at is the process itself in the slot that is being made.
func (t *transition) at(p processState) *processState {
	switch p.inc {
	case t.cur.inc:
		return &t.cur
	case t.next.inc:
		return &t.next
	}
	for i := range t.old {
		if t.old[i].inc == p.inc {
			return &t.old[i]
		}
	}
	return &processState{}
}

// curGone decides whether the process that served is started again, and when.
func (t *transition) curGone(p processState) {
	t.cur = processState{}
	clean := t.in.kind == hExit && t.in.clean && p.ending == notEnding
	if p.ready && !clean && t.want == wantRun && !p.health.bad { // that was counted
		t.crashes.add(t.in.now, t.in.why)
	}
	switch {
	case t.want != wantRun:
	case t.pol.Policy == control.Never && clean:
		t.hold = control.Done
	case t.pol.Policy == control.Never, t.pol.Policy == control.OnFailure && clean:
		t.giveUp(fmt.Sprintf("its policy %s does not restart it", t.pol.Policy))
	default:
		t.again(p)
	}
}

func (t *transition) giveUp(why string) {
	t.hold = control.Dead
	t.act(action{kind: doGiveUp, why: "dead: " + why})
}

func (t *transition) again(p processState) {
	if !t.in.passing {
		t.restarts++
		t.countExit()
	}
	if len(t.recent) > t.pol.MaxRestarts && !t.pol.BuiltIn {
		t.giveUp(fmt.Sprintf("ended %d times within %v", len(t.recent), t.pol.Within))
		return
	}
	delay := t.delay(p.ready)
	t.failures++
	if delay == 0 {
		return // settle starts it at once
	}
	t.hold, t.waiting = control.Backoff, p.inc
	t.act(action{kind: doTimer, timer: hBackoff, inc: p.inc, after: delay})
}

// countExit keeps the exits within the window of the intensity.
func (t *transition) countExit() {
	t.recent = append(lately(t.recent, t.in.now, t.pol.Within), t.in.now)
	if t.pol.BuiltIn && len(t.recent) > t.pol.MaxRestarts {
		t.recent = t.recent[1:] // bounded: it is never given up
	}
}

// delay of the next start: none after the first end of a worker that had been
// ready, which is probably a single accident; then BackoffMin, doubled each time
// up to BackoffMax, with 20 % of jitter so that the slots of a pool do not start
// in step.
func (t *transition) delay(wasReady bool) time.Duration {
	n := t.failures
	if wasReady {
		if n == 0 {
			return 0
		}
		n--
	}
	d := t.pol.BackoffMax
	if n < 30 {
		d = min(d, t.pol.BackoffMin<<n)
	}
	return d - time.Duration(t.in.rnd*0.2*float64(d))
}

func (t *transition) backoffOver() {
	if t.hold == control.Backoff && t.in.inc == t.waiting {
		t.hold = ""
	}
}

func (t *transition) revived() {
	if t.want == wantStopped {
		t.want = wantRun
	}
	t.forgive()
}

// rest is why a slot without a process is not filled although nothing stands
// against it: its schedule has to come.
func rest(pol control.PoolSpec) control.State {
	if pol.Schedule != "" {
		return control.Done
	}
	return ""
}

// forgive clears what counts against a slot, for an operator.
func (t *transition) forgive() {
	t.hold, t.failures, t.recent, t.crashes = "", 0, nil, crashes{}
}

func (t *transition) prepare() {
	switch {
	case t.want != wantRun, t.next.some(), t.coming.gen != 0, t.in.closed:
	case t.in.alone, t.alone, t.pol.MaxSurge < 0:
		t.coming, t.alone = plan{t.in.gen, t.in.within}, true
		t.retire(&t.cur, false) // what waits in its socket is for the successor
	default:
		t.next = t.start(t.in.gen, t.in.within)
	}
}

func (t *transition) commit() {
	if !t.next.serves() {
		return
	}
	took := t.next
	t.next = processState{}
	if t.cur.health.bad && took.gen == t.gen { // that was an end like others
		t.hold, t.failures = "", 0
		t.restarts++
		t.countExit()
	} else {
		t.forgive()
	}
	t.retire(&t.cur, false)
	t.cur, t.gen, t.alone = took, took.gen, false
	t.act(action{kind: doTimer, timer: hStable, inc: took.inc, after: t.pol.BackoffReset})
}

func (t *transition) abandon() {
	t.coming = plan{}
	t.retire(&t.next, false)
}
