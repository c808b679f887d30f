package primary

import (
	"time"

	"github.com/norestart/norestart/control"
)

// slot is the life of one slot as a value: it is changed only by [step], a pure
// function of the slot and of what happened.
//
// Invariant: a slot has at most one process that serves (cur) and one that is
// being prepared (next); any number may be retiring (old). In a pool without
// surge it has at most one in all. An incarnation
// stands in at most one of the three places and never comes back.
type slot struct {
	want want
	hold control.State // why nothing is started though wanted: "", Backoff, Dead, Done
	gen  int           // the generation that the slot runs

	cur  process
	next process
	old  []process

	coming plan // the successor, when those that retire must have gone before
	alone  bool // nothing is started before they have, until the slot is filled again

	waiting  uint64      // the incarnation whose end the back-off follows
	failures int         // in a row, for the back-off
	recent   []time.Time // exits within the policy's window, for the intensity
	restarts int         // in all
}

// plan is a process to be started.
type plan struct {
	gen    int           // 0: none
	within time.Duration // to become ready
}

// want is what the slot is for.
type want int

const (
	wantNone    want = iota // scaled away
	wantRun                 // filled
	wantStopped             // emptied by the operator's wish
)

// process is one process of a slot; the zero process is none.
type process struct {
	inc     uint64
	gen     int
	ready   bool
	readyAt time.Time
	since   time.Time
	ending  ending
	final   bool          // told for good: lasting sessions end too
	within  time.Duration // to become ready
	reason  string        // why it is ending
}

func (p process) some() bool { return p.inc != 0 }

// serves tells whether new work may go to the process.
func (p process) serves() bool { return p.some() && p.ready && p.ending == notEnding }

// ending is how far a process that shall end has been told so.
type ending int

const (
	notEnding ending = iota
	told             // asked to drain
	termed           // sent TERM
	killed           // sent KILL
)

// state is what an operator sees of the slot.
func (s slot) state() control.State {
	switch {
	case s.cur.serves():
		return control.Ready
	case s.cur.some() && s.cur.ending == notEnding:
		return control.Starting
	case s.cur.some():
		return control.Draining
	case s.want == wantRun && s.hold != "":
		return s.hold
	case len(s.old) > 0:
		return control.Draining
	case s.next.some():
		return control.Starting
	case s.want == wantStopped:
		return control.Stopped
	}
	return control.Exited
}

// idle tells whether nothing of the slot runs.
func (s slot) idle() bool { return !s.cur.some() && !s.next.some() && len(s.old) == 0 }

// vacant tells whether a slot that should be filled has nobody and waits for
// nothing: so an earlier primary may have left it.
func (s slot) vacant() bool {
	return s.want == wantRun && (s.hold == "" || s.coming.gen != 0) && !s.cur.some() && !s.next.some()
}

// find tells where an incarnation stands.
func (s slot) find(inc uint64) (process, place) {
	if inc == 0 {
		return process{}, nowhere
	}
	switch inc {
	case s.cur.inc:
		return s.cur, atCur
	case s.next.inc:
		return s.next, atNext
	}
	for _, p := range s.old {
		if p.inc == inc {
			return p, atOld
		}
	}
	return process{}, nowhere
}

// place is where a process stands in its slot.
type place int

const (
	nowhere place = iota
	atCur
	atNext
	atOld
	places
)

// policy is what of a pool's spec a slot's life depends on.
type policy struct {
	control.PoolSpec
	lasting bool // built in: never dead for good
}

// input is what happened to a slot.
type input struct {
	kind  happening
	inc   uint64 // whom it happened to; 0 for the slot itself
	now   time.Time
	want  want
	gen   int  // to prepare
	clean bool // exit status 0
	// passing is a start that failed for want of processes, memory or the
	// like: it backs off, but is no failure of the program.
	passing bool
	within  time.Duration // for what is prepared to become ready; 0: as the policy says
	alone   bool          // what serves retires before a successor is started
	fresh   uint64        // the incarnation to use if a process is started now
	rnd     float64       // in [0,1), for the jitter
	closed  bool          // the pool's sockets have not come back: nothing can be started
}

// happening is a kind of input.
type happening int

const (
	// to a process
	hReady        happening = iota // it said so
	hExit                          // it has been reaped
	hSpawnFailed                   // it could not be started: as an exit, at once
	hReadyTimeout                  // its time to become ready is over
	hLost                          // it missed its beats for too long
	hDrainTimeout                  // its time to drain is over
	hKillTimeout                   // it ignored TERM
	hStable                        // it stayed ready for the policy's time
	// to the slot
	hWant       // the wish changed
	hBackoff    // the back-off is over
	hRevive     // the operator wants it again
	hPrepare    // begin a successor
	hCommit     // the successor takes over
	hAbandon    // the successor is given up
	hEndOldest  // the oldest retired process must go
	hEndAll     // every process is told again, for good: the cluster stops
	happenings  // their number
	processKind = hStable
)

// action is what the loop has to do after a step.
type action struct {
	kind   deed
	inc    uint64
	gen    int
	after  time.Duration
	timer  happening // kind doTimer: what happens then
	linger bool      // kind doDrain: keep accepting during the lame duck
	final  bool      // kind doDrain: end lasting sessions too
	why    string
}

// deed is a kind of action.
type deed int

const (
	doSpawn deed = iota
	doDrain
	doTerm
	doKill
	doTimer
	doReport // tell the operator: why
)

// step is the slot's life: what happens to it in this state, and what has to
// be done about it. Whatever has no entry in the table changes nothing.
func step(s slot, pol policy, in input) (slot, []action) {
	t := transition{slot: s.copy(), pol: pol, in: in}
	if in.kind <= processKind {
		p, at := s.find(in.inc)
		if at == nowhere {
			return s, nil // of a process that has gone
		}
		if f := processTable[in.kind][at]; f != nil {
			f(&t, p)
		}
	} else if f := slotTable[in.kind]; f != nil {
		f(&t)
	}
	t.settle()
	return t.slot, t.do
}

func (s slot) copy() slot {
	s.old = append([]process(nil), s.old...)
	s.recent = append([]time.Time(nil), s.recent...)
	return s
}

// transition is one step in the making.
type transition struct {
	slot
	pol policy
	in  input
	do  []action
}

func (t *transition) act(a action) { t.do = append(t.do, a) }

// processTable: what happened to a process, by where it stands.
var processTable = [happenings][places]func(*transition, process){
	hReady:        {atCur: (*transition).curReady, atNext: (*transition).nextReady},
	hExit:         {atCur: (*transition).curGone, atNext: (*transition).nextGone, atOld: (*transition).oldGone},
	hSpawnFailed:  {atCur: (*transition).curGone, atNext: (*transition).nextGone, atOld: (*transition).oldGone},
	hReadyTimeout: {atCur: (*transition).tooSlow, atNext: (*transition).tooSlow},
	hLost:         {atCur: (*transition).lost, atNext: (*transition).lost, atOld: (*transition).lost},
	hDrainTimeout: {atOld: (*transition).overdue},
	hKillTimeout:  {atCur: (*transition).stubborn, atNext: (*transition).stubborn, atOld: (*transition).stubborn},
	hStable:       {atCur: (*transition).stable},
}

// slotTable: what happened to the slot.
var slotTable = [happenings]func(*transition){
	hWant:      func(t *transition) { t.want = t.in.want },
	hBackoff:   (*transition).backoffOver,
	hRevive:    (*transition).revived,
	hPrepare:   (*transition).prepare,
	hCommit:    (*transition).commit,
	hAbandon:   (*transition).abandon,
	hEndOldest: (*transition).endOldest,
	hEndAll:    (*transition).endAll,
}
