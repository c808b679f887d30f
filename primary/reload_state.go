package primary

import (
	"time"

	"github.com/norestart/norestart/control"
)

// reload is the reload of one pool as a value. Only [stepReload] changes it, a
// pure function of the reload and of what happened. The record has it as it is,
// so that the next primary goes on by loading it.
//
//	queued ──► canary ──► proved ──► replacing ──► watching ──► done
//	             │ fails      │ fails or is cancelled  │ fails
//	             ▼            ▼                        ▼
//	           giving up    cancelling              rolling back
//	             ▼            ▼                        ▼
//	           failed       cancelled               failed
//
// Invariant: a process that serves retires only when its successor is ready, or,
// without surge, before its successor is started.
type reload struct {
	Phase   phase         `cbor:"phase"`
	Again   bool          `cbor:"again,omitempty"` // each is replaced by its own generation
	From    int           `cbor:"from"`
	To      int           `cbor:"to"`
	Slots   []slotReload  `cbor:"slots,omitempty"` // in the order of their turns
	Leaving []leaving     `cbor:"leaving,omitempty"`
	Cause   string        `cbor:"cause,omitempty"` // why it failed
	Counted int           `cbor:"counted,omitempty"`
	Total   int           `cbor:"total,omitempty"`
	Watch   time.Duration `cbor:"watch,omitempty"`   // after the last replacement; 0: no watching
	Allowed int           `cbor:"allowed,omitempty"` // crashes: as many as the old generation had in that time
	Watched time.Time     `cbor:"watched,omitzero"`  // since when
}

// phase is how far a reload is.
type phase string

const (
	reloadQueued      phase = "queued"       // another pool's turn
	reloadCanary      phase = "canary"       // the first successor starts and proves itself
	reloadProved      phase = "proved"       // it has taken over, which is being recorded
	reloadReplacing   phase = "replacing"    // the others follow
	reloadWatching    phase = "watching"     // every slot runs the new generation, which may still turn out to be bad
	reloadRollingBack phase = "rolling back" // the slots that were changed get the old generation again
	reloadGivingUp    phase = "giving up"    // what was changed stays; unfinished successors are ended
	reloadCancelling  phase = "cancelling"   // unfinished successors still take over, nothing more begins
	reloadDone        phase = "done"
	reloadFailed      phase = "failed"
	reloadCancelled   phase = "cancelled"
)

type slotReload struct {
	Slot      int          `cbor:"slot"`
	Step      slotProgress `cbor:"step"`
	Successor uint64       `cbor:"successor,omitempty"`
	Old       uint64       `cbor:"old,omitempty"`    // the process that it replaces; 0: none
	Before    int          `cbor:"before,omitempty"` // the generation that a changed slot ran
}

// slotProgress is how far a slot is in a reload.
type slotProgress string

const (
	slotPending   slotProgress = "pending"   // not touched yet
	slotPreparing slotProgress = "preparing" // its successor is started, or waits for its place
	slotProving   slotProgress = "proving"   // its successor is ready and has to stay so
	slotChanged   slotProgress = "changed"   // its successor has taken over
	slotRefilling slotProgress = "refilling" // its successor failed after the process had retired: it starts again what it ran
	slotOver      slotProgress = "over"      // left as it is
)

// inHand tells whether a successor is being prepared.
func (s slotReload) inHand() bool { return s.Step == slotPreparing || s.Step == slotProving }

// leaving is a process that has been replaced.
type leaving struct {
	Slot      int             `cbor:"slot"`
	Step      leavingProgress `cbor:"step"`
	Successor uint64          `cbor:"successor"`
	Old       uint64          `cbor:"old"`
	Back      bool            `cbor:"back,omitempty"` // it was replaced by the generation before
	Since     time.Time       `cbor:"-"`
}

// leavingProgress is how far a process is that has been replaced.
type leavingProgress string

const (
	leavingClosing  leavingProgress = "closing"  // it may still accept
	leavingKilled   leavingProgress = "killed"   // it did not stop accepting in time
	leavingDraining leavingProgress = "draining" // it accepts no more, and the slot's line is printed
)

// closeTimeout is how long a retired worker may take to say that it accepts no
// more: one that does not is stuck, and must not accept later.
const closeTimeout = control.DefaultCallTimeout

// reloadPolicy is what a reload depends on in its pool and its request.
type reloadPolicy struct {
	spec    control.PoolSpec
	request control.ReloadRequest
}

// alone reports whether a process retires before its successor is started.
func (p reloadPolicy) alone() bool { return p.request.MaxSurge < 0 || p.spec.MaxSurge < 0 }

// surge is how many slots may be in hand.
func (p reloadPolicy) surge() int {
	switch {
	case p.alone():
		return p.spec.MaxUnavailable
	case p.request.MaxSurge > 0:
		return p.request.MaxSurge
	}
	return p.spec.MaxSurge
}

type reloadInput struct {
	kind  reloadEvent
	now   time.Time
	at    int              // index of one of its slots, or of the processes that leave
	slots []slotReload     // slots that take part, or are to be added
	inc   uint64           // of the successor, or of the process that serves
	old   uint64           // of the process that leaves
	gen   int              // that the slot runs
	event control.JobEvent // the line about it
	moved bool             // the new generation is on other addresses
	keep  bool             // changed slots stay as they are
}

type reloadEvent int

const (
	// to the reload
	rBegin      reloadEvent = iota // its pool's turn has come
	rLoaded                        // a next primary goes on with it
	rCancel                        // an operator cancelled it
	rBad                           // the new generation turned out to be bad
	rGiveUp                        // it has failed, and this has not been handled
	rWrite                         // nothing else may begin before the canary's success is recorded
	rStragglers                    // slots have started the old generation meanwhile
	rSettled                       // no successor is unfinished any more
	rWatched                       // it has watched for long enough
	// to a slot
	rTurn        // its turn has come
	rCallersTurn // it is the caller's own, which has to answer first
	rSkip        // it should not run any more
	rAlready     // it runs the new generation
	rLost        // its successor is not on record
	rStarted     // its successor has been started
	rDropped     // nothing is prepared any more
	rFailed      // its successor has gone
	rReady       // its successor is ready
	rProved      // its successor may take over
	rRefilled    // it runs again, or cannot just now
	// to a process that leaves
	rClosed  // it accepts no more
	rOverdue // it has not said so in time
	rGone    // it has gone
	rStays   // it may stay as long as its sessions
	reloadEvents
)

type reloadAction struct {
	kind    reloadDeed
	slot    int
	gen     int
	after   time.Duration
	leaving leaving
	slots   []int
	event   control.JobEvent
}

type reloadDeed int

const (
	doWrite        reloadDeed = iota // the record, durably
	doPrepare                        // the slot's successor
	doCommit                         // the successor takes over
	doAbandon                        // give up the successor
	doKillLeaving                    // it does not stop accepting
	doWake                           // look again after a time
	doSucceed                        // every slot of the pool starts the new generation from now on
	doTell                           // the event
	doTellNext                       // the caller that it is next
	doTellReplaced                   // the slot's line
	doTellCut                        // if the process that left was ended by force
	doTellRefilled                   // that the slot runs again what it ran, if it does
	doTellBack                       // which slots go back
	doTellWatching                   // that the watching begins
)

// stepReload is the transition of a reload in its state, and the actions that
// follow. An input without an entry in the tables changes nothing.
func stepReload(r reload, pol reloadPolicy, in reloadInput) (reload, []reloadAction) {
	t := reloadStep{reload: r.copy(), pol: pol, in: in}
	var f func(*reloadStep)
	switch {
	case in.kind >= rClosed:
		f = leavingTable[in.kind][r.Leaving[in.at].Step]
	case in.kind >= rTurn:
		f = slotReloadTable[in.kind][r.Slots[in.at].Step]
	default:
		f = reloadTable[in.kind][r.Phase]
	}
	if f == nil {
		return r, nil
	}
	f(&t)
	return t.reload, t.do
}

type reloadStep struct {
	reload
	pol reloadPolicy
	in  reloadInput
	do  []reloadAction
}

// reloadTable: inputs to the reload, by its phase.
var reloadTable = [reloadEvents]map[phase]func(*reloadStep){
	rBegin: {reloadQueued: (*reloadStep).begin},
	rLoaded: {
		reloadCanary: (*reloadStep).unproved, reloadCancelling: (*reloadStep).loadedCancelling,
		reloadProved: (*reloadStep).loaded, reloadReplacing: (*reloadStep).loaded, reloadWatching: (*reloadStep).loaded,
		reloadRollingBack: (*reloadStep).loaded, reloadGivingUp: (*reloadStep).loaded,
	},
	rCancel: {
		reloadCanary: (*reloadStep).cancel, reloadProved: (*reloadStep).cancel, reloadReplacing: (*reloadStep).cancel,
		reloadWatching: (*reloadStep).cancelWatching,
	},
	rBad:    goingForward((*reloadStep).bad),
	rGiveUp: goingForward((*reloadStep).giveUp),
	rWrite:  {reloadProved: (*reloadStep).write},
	rStragglers: {
		reloadCanary: (*reloadStep).stragglers, reloadProved: (*reloadStep).stragglers, reloadReplacing: (*reloadStep).stragglers,
		reloadWatching: (*reloadStep).stragglers,
	},
	rSettled: {
		reloadCanary: (*reloadStep).replacedAll, reloadProved: (*reloadStep).replacedAll, reloadReplacing: (*reloadStep).replacedAll,
		reloadRollingBack: (*reloadStep).end, reloadGivingUp: (*reloadStep).end, reloadCancelling: (*reloadStep).end,
	},
	rWatched: {reloadWatching: (*reloadStep).succeed},
}

// goingForward is the entry of all phases in which slots go to the new generation.
func goingForward(f func(*reloadStep)) map[phase]func(*reloadStep) {
	return map[phase]func(*reloadStep){
		reloadCanary: f, reloadProved: f, reloadReplacing: f, reloadWatching: f, reloadCancelling: f,
	}
}

// slotReloadTable: inputs to a slot, by its progress.
var slotReloadTable = [reloadEvents]map[slotProgress]func(*reloadStep){
	rTurn:        {slotPending: (*reloadStep).prepare},
	rCallersTurn: {slotPending: (*reloadStep).callersTurn, slotProving: (*reloadStep).callersTurn},
	rSkip:        {slotPending: (*reloadStep).leave},
	rAlready:     {slotPending: (*reloadStep).already},
	rLost:        {slotPreparing: (*reloadStep).lost},
	rStarted:     {slotPreparing: (*reloadStep).started},
	rDropped:     {slotPreparing: (*reloadStep).leave},
	rFailed:      {slotPreparing: (*reloadStep).failed, slotProving: (*reloadStep).failed},
	rReady:       {slotPreparing: (*reloadStep).ready},
	rProved:      {slotProving: (*reloadStep).commit},
	rRefilled:    {slotRefilling: (*reloadStep).refilled},
}

// leavingTable: inputs to a process that leaves, by its progress.
var leavingTable = [reloadEvents]map[leavingProgress]func(*reloadStep){
	rClosed:  {leavingClosing: (*reloadStep).closed, leavingKilled: (*reloadStep).closed},
	rOverdue: {leavingClosing: (*reloadStep).overdue},
	rGone:    {leavingDraining: (*reloadStep).gone},
	rStays:   {leavingDraining: (*reloadStep).forget},
}
