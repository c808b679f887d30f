package primary

import (
	"time"

	"github.com/norestart/norestart/control"
)

// slotState is the life of one slot as a value: it is changed only by [step], a pure
// function of the slot and of what happened.
//
// Invariant: a slot has at most one process that serves (cur) and one that is
// being prepared (next); any number may be retiring (old). In a pool without
// surge it has at most one in all. An incarnation
// stands in at most one of the three places and never comes back.
type slotState struct {
	want want
	hold control.State // why nothing is started although wanted: "", Backoff, Dead, Done
	gen  int           // the generation that the slot runs

	cur  processState
	next processState
	old  []processState

	coming plan // the successor, if retiring processes must have gone before
	alone  bool // nothing is started before they have gone, until the slot is filled again

	waiting  uint64      // the incarnation whose end the back-off follows
	failures int         // in a row, for the back-off
	recent   []time.Time // exits within the window of its pool, for the intensity
	restarts int         // in all
	crashes  crashes
}

type plan struct {
	gen    int           // 0: none
	within time.Duration // to become ready
}

type want int

const (
	wantNone    want = iota // scaled away
	wantRun                 // filled
	wantStopped             // emptied by an operator
)

// processState is one process of a slot as a value; the zero one is none.
type processState struct {
	inc     uint64
	gen     int
	ready   bool
	readyAt time.Time
	since   time.Time
	ending  ending
	final   bool          // told for good: lasting sessions end, too
	linger  bool          // told to go on accepting for a lame duck
	within  time.Duration // to become ready
	reason  string        // why it is ending
	health  health
}

func (p processState) some() bool { return p.inc != 0 }

func (p processState) serves() bool { return p.some() && p.ready && p.ending == notEnding }

// ending is the last step that was taken to end a process.
type ending int

const (
	notEnding ending = iota
	told             // asked to drain
	termed           // sent TERM
	killed           // sent KILL
)

// state is what an operator sees of the slot.
func (s slotState) state() control.State {
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

func (s slotState) idle() bool { return !s.cur.some() && !s.next.some() && len(s.old) == 0 }

// vacant reports whether a slot that should be filled has no process and waits
// for nothing, as an earlier primary may have left it.
func (s slotState) vacant() bool {
	return s.want == wantRun && (s.hold == "" || s.coming.gen != 0) && !s.cur.some() && !s.next.some()
}

func (s slotState) find(inc uint64) (processState, place) {
	if inc == 0 {
		return processState{}, nowhere
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
	return processState{}, nowhere
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

type input struct {
	kind  happening
	inc   uint64 // of the process; 0 for the slot itself
	now   time.Time
	want  want
	gen   int    // to prepare
	clean bool   // exit status 0
	why   string // it ended
	// passing is a start that failed for lack of processes, memory or the like,
	// or an end for lack of a primary: it backs off, but is not a failure of the
	// program.
	passing bool
	within  time.Duration // for a successor to become ready; 0: as the spec says
	alone   bool          // the serving process retires before a successor is started
	fresh   uint64        // the incarnation to use if a process is started now
	rnd     float64       // in [0,1), for the jitter
	closed  bool          // the pool's sockets have not come back: nothing can be started
	others  bool          // another worker of the pool passes its probe
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
	hStable                        // it stayed ready for the time of its pool
	hProbed                        // its probe has answered: clean, or why
	hCure                          // it is its turn to be replaced for its health
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
	processKind = hCure
)

// action is what the loop has to do after a step.
type action struct {
	kind   deed
	inc    uint64
	gen    int
	after  time.Duration
	timer  happening // kind doTimer: what happens then
	linger bool      // kind doDrain: keep accepting during the lame duck
	final  bool      // kind doDrain: end lasting sessions, too
	why    string
}

type deed int

const (
	doSpawn deed = iota
	doDrain
	doTerm
	doKill
	doTimer
	doReport // tell the operator: why
	doGiveUp // the same, for a dead slot
	doHealth // the same, for a change of its health
	doCure   // replace it, successor first
)

// step is the transition of a slot in its state, and the actions that follow. An
// input without an entry in the table changes nothing.
func step(s slotState, pol control.PoolSpec, in input) (slotState, []action) {
	t := transition{slotState: s.copy(), pol: pol, in: in}
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
	return t.slotState, t.do
}

func (s slotState) copy() slotState {
	s.old = append([]processState(nil), s.old...)
	s.recent = append([]time.Time(nil), s.recent...)
	return s
}

type transition struct {
	slotState
	pol control.PoolSpec
	in  input
	do  []action
}

func (t *transition) act(a action) { t.do = append(t.do, a) }

// processTable: inputs to a process, by its place.
var processTable = [happenings][places]func(*transition, processState){
	hReady:        {atCur: (*transition).curReady, atNext: (*transition).nextReady},
	hExit:         {atCur: (*transition).curGone, atNext: (*transition).nextGone, atOld: (*transition).oldGone},
	hSpawnFailed:  {atCur: (*transition).curGone, atNext: (*transition).nextGone, atOld: (*transition).oldGone},
	hReadyTimeout: {atCur: (*transition).tooSlow, atNext: (*transition).tooSlow},
	hLost:         {atCur: (*transition).lost, atNext: (*transition).lost, atOld: (*transition).lost},
	hDrainTimeout: {atOld: (*transition).overdue},
	hKillTimeout:  {atCur: (*transition).stubborn, atNext: (*transition).stubborn, atOld: (*transition).stubborn},
	hStable:       {atCur: (*transition).stable},
	hProbed:       {atCur: (*transition).probed},
	hCure:         {atCur: (*transition).cure},
}

// slotTable: inputs to the slot.
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
