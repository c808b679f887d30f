package primary

import (
	"slices"
	"time"
)

func (r reload) copy() reload {
	r.Slots, r.Leaving = slices.Clone(r.Slots), slices.Clone(r.Leaving)
	return r
}

// ended reports whether nothing can happen to it any more.
func (r reload) ended() bool {
	return r.Phase == reloadDone || r.Phase == reloadFailed || r.Phase == reloadCancelled
}

// doomed reports whether it has failed and has not been given up yet.
func (r reload) doomed() bool { return r.Cause != "" && reloadTable[rGiveUp][r.Phase] != nil }

// passed reports whether the canary has taken over.
func (r reload) passed() bool {
	switch r.Phase {
	case reloadQueued, reloadCanary:
		return false
	case reloadRollingBack:
		return true
	}
	return r.has(slotChanged)
}

func (r reload) has(p slotProgress) bool {
	return slices.ContainsFunc(r.Slots, func(s slotReload) bool { return s.Step == p })
}

func (r reload) quiet() bool {
	return len(r.Leaving) == 0 && !slices.ContainsFunc(r.Slots, func(s slotReload) bool {
		return s.Step == slotPending || s.Step == slotRefilling || s.inHand()
	})
}

func (r reload) free(pol reloadPolicy) bool {
	n := 0
	for _, s := range r.Slots {
		if s.inHand() {
			n++
		}
	}
	if r.Phase == reloadCanary {
		return n == 0
	}
	return n < pol.surge()
}

// soak is how long a successor has to stay ready before the old process retires.
func (r reload) soak(pol reloadPolicy) time.Duration {
	if !r.passed() && !r.Again {
		return max(pol.spec.Canary, pol.spec.MinReady)
	}
	return pol.spec.MinReady
}

// target is the generation that slots get now.
func (r reload) target() int {
	if r.Phase == reloadRollingBack {
		return r.From
	}
	return r.To
}

func (t *reloadStep) act(a reloadAction) { t.do = append(t.do, a) }

func (t *reloadStep) slot() *slotReload { return &t.Slots[t.in.at] }

func (t *reloadStep) begin() {
	t.Phase, t.Slots, t.Total = reloadCanary, t.in.slots, len(t.in.slots)
	t.act(reloadAction{kind: doWrite}) // before the first start: the next primary must know what was meant
}

// loaded starts deadlines anew: one that is late by the time without a primary is
// better than none.
func (t *reloadStep) loaded() {
	for i := range t.Slots {
		if t.Slots[i].Step == slotProving {
			t.Slots[i].Step = slotPreparing
		}
	}
	for i := range t.Leaving {
		t.Leaving[i].Since = t.in.now
	}
	t.act(reloadAction{kind: doWake, after: closeTimeout})
	if t.Phase == reloadWatching {
		t.act(reloadAction{kind: doWake, after: t.Watch - t.in.now.Sub(t.Watched)})
	}
}

func (t *reloadStep) unproved() {
	if t.Cause == "" {
		t.Cause = "the primary was replaced before the first worker had proved itself"
	}
	t.loaded()
}

func (t *reloadStep) loadedCancelling() {
	if !t.passed() {
		t.unproved()
		return
	}
	t.loaded()
}

// cancel lets unfinished successors take over. A pool cannot keep two addresses:
// one that has moved goes back.
func (t *reloadStep) cancel() {
	if t.in.moved {
		t.giveUp()
		return
	}
	t.Phase = reloadCancelling
	t.leavePending()
}

func (t *reloadStep) leavePending() {
	for i := range t.Slots {
		if t.Slots[i].Step == slotPending {
			t.Slots[i].Step = slotOver
		}
	}
}

// cancelWatching ends only the watching.
func (t *reloadStep) cancelWatching() {
	t.act(reloadAction{kind: doSucceed})
	t.Phase = reloadCancelled
}

func (t *reloadStep) bad() {
	t.act(reloadAction{kind: doTell, event: t.in.event})
	t.Cause = t.in.event.Text
}

func (t *reloadStep) giveUp() {
	t.leavePending()
	for i := range t.Slots {
		if t.Slots[i].inHand() {
			t.act(reloadAction{kind: doAbandon, slot: t.Slots[i].Slot})
			t.giveUpSlot(&t.Slots[i])
		}
	}
	if t.Again || !t.has(slotChanged) || t.in.keep && !t.in.moved {
		t.Phase = reloadGivingUp
		return
	}
	t.Phase = reloadRollingBack
	var back []int
	for i := range t.Slots {
		if s := &t.Slots[i]; s.Step == slotChanged {
			s.Step = slotPending
			back = append(back, s.Slot)
		}
	}
	t.act(reloadAction{kind: doTellBack, slots: back})
	slices.Reverse(t.Slots)
}

// giveUpSlot waits for a slot whose process has retired for its successor.
func (t *reloadStep) giveUpSlot(s *slotReload) {
	if s.Step = slotOver; t.pol.alone() {
		s.Step = slotRefilling
	}
}

func (t *reloadStep) write() {
	t.Phase = reloadReplacing
	t.act(reloadAction{kind: doWrite})
}

func (t *reloadStep) stragglers() {
	for _, s := range t.in.slots {
		t.Slots = slices.DeleteFunc(t.Slots, func(o slotReload) bool { return o.Slot == s.Slot })
	}
	t.Slots = append(t.Slots, t.in.slots...)
	t.Total += len(t.in.slots)
	if t.Phase == reloadWatching {
		t.Phase = reloadReplacing
	}
}

// replacedAll: every slot runs the new generation.
func (t *reloadStep) replacedAll() {
	if t.Again || t.Watch == 0 {
		t.succeed()
		return
	}
	t.Phase = reloadWatching
	if t.Watched.IsZero() {
		t.Watched = t.in.now
		t.act(reloadAction{kind: doTellWatching})
	}
	t.act(reloadAction{kind: doWake, after: t.Watch - t.in.now.Sub(t.Watched)})
}

func (t *reloadStep) succeed() {
	t.act(reloadAction{kind: doSucceed})
	t.Phase = reloadDone
}

func (t *reloadStep) end() {
	if t.Phase == reloadCancelling && !t.Watched.IsZero() {
		t.act(reloadAction{kind: doSucceed}) // what was left are slots that came to life while it watched
	}
	t.Phase = reloadCancelled
	if t.Cause != "" {
		t.Phase = reloadFailed
	}
}

func (t *reloadStep) prepare() {
	s := t.slot()
	s.Step, s.Successor, s.Old = slotPreparing, 0, t.in.inc
	gen := t.To
	switch {
	case t.Again:
		gen = t.in.gen
	case t.Phase == reloadRollingBack:
		gen = s.Before
	}
	t.act(reloadAction{kind: doPrepare, slot: s.Slot, gen: gen})
}

func (t *reloadStep) callersTurn() {
	t.act(reloadAction{kind: doTellNext, slot: t.slot().Slot})
	t.act(reloadAction{kind: doWake, after: answerWait})
}

func (t *reloadStep) leave() { t.slot().Step = slotOver }

// already: an earlier primary has done it, and had no time to record it.
func (t *reloadStep) already() {
	s := t.slot()
	s.Step, s.Successor, s.Old, s.Before = slotChanged, t.in.inc, t.in.old, t.From
	t.leaves(*s)
}

func (t *reloadStep) leaves(s slotReload) {
	t.Leaving = append(t.Leaving, leaving{
		Slot: s.Slot, Step: leavingClosing, Successor: s.Successor, Old: s.Old, Back: t.Phase == reloadRollingBack, Since: t.in.now,
	})
	t.act(reloadAction{kind: doWake, after: closeTimeout})
}

func (t *reloadStep) lost() {
	if t.Cause != "" && t.Phase != reloadRollingBack {
		t.giveUpSlot(t.slot())
		return
	}
	t.slot().Step = slotPending
}

func (t *reloadStep) started() { t.slot().Successor = t.in.inc }

func (t *reloadStep) failed() {
	t.act(reloadAction{kind: doTell, event: t.in.event})
	if t.Cause == "" {
		t.Cause = t.in.event.Text
	}
	t.giveUpSlot(t.slot())
}

func (t *reloadStep) ready() {
	t.slot().Step = slotProving
	if soak := t.soak(t.pol); soak > 0 {
		t.act(reloadAction{kind: doWake, after: soak})
	}
}

func (t *reloadStep) commit() {
	s := t.slot()
	if t.in.inc != 0 {
		s.Old = t.in.inc
	}
	t.act(reloadAction{kind: doCommit, slot: s.Slot})
	t.leaves(*s)
	if t.Phase == reloadRollingBack {
		s.Step = slotOver
		return
	}
	s.Step, s.Before = slotChanged, t.in.gen
	if t.Phase == reloadCanary {
		t.Phase = reloadProved
	}
}

func (t *reloadStep) refilled() {
	t.leave()
	t.act(reloadAction{kind: doTellRefilled, slot: t.slot().Slot})
}

func (t *reloadStep) closed() {
	l := &t.Leaving[t.in.at]
	if !l.Back {
		t.Counted++
	}
	t.act(reloadAction{kind: doTellReplaced, slot: l.Slot, leaving: *l})
	l.Step = leavingDraining
}

func (t *reloadStep) overdue() {
	l := &t.Leaving[t.in.at]
	l.Step = leavingKilled
	t.act(reloadAction{kind: doKillLeaving, slot: l.Slot, leaving: *l})
}

func (t *reloadStep) gone() {
	l := t.Leaving[t.in.at]
	t.act(reloadAction{kind: doTellCut, slot: l.Slot, leaving: l})
	t.forget()
}

func (t *reloadStep) forget() { t.Leaving = slices.Delete(t.Leaving, t.in.at, t.in.at+1) }
