package primary

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
)

// world lets a slot live without processes: it answers the actions of step.
type world struct {
	slotState
	pol   control.PoolSpec
	now   time.Time
	last  uint64
	alive map[uint64]bool // started and not yet reaped
	gens  map[uint64]int
	told  map[uint64][]deed
	seen  map[uint64]bool
	timer []timer
}

type timer struct {
	at time.Time
	in input
}

func newWorld(spec control.PoolSpec, lasting bool) *world {
	spec.BuiltIn = lasting
	return &world{
		slotState: slotState{gen: 1}, pol: spec.WithDefaults(), now: time.Unix(1e9, 0),
		alive: map[uint64]bool{}, gens: map[uint64]int{}, told: map[uint64][]deed{}, seen: map[uint64]bool{},
	}
}

// step applies one input and returns what was to be done, in words.
func (w *world) step(in input) (done []string) {
	in.now, in.fresh = w.now, w.last+1
	before := w.copy()
	next, actions := step(w.slotState, w.pol, in)
	if !reflect.DeepEqual(before, w.copy()) {
		panic("step changed its argument")
	}
	w.slotState = next
	for _, a := range actions {
		done = append(done, w.do(a))
	}
	return done
}

func (w *world) do(a action) string {
	switch a.kind {
	case doSpawn:
		if w.seen[a.inc] {
			panic("an incarnation was used twice")
		}
		w.last, w.alive[a.inc], w.gens[a.inc], w.seen[a.inc] = a.inc, true, a.gen, true
		return fmt.Sprintf("spawn %d gen %d", a.inc, a.gen)
	case doTimer:
		w.timer = append(w.timer, timer{w.now.Add(a.after), input{kind: a.timer, inc: a.inc}})
		return fmt.Sprintf("timer %v", a.after)
	case doReport:
		return "report " + a.why
	case doHealth:
		return "health " + a.why
	case doCure:
		return "cure " + a.why
	}
	w.told[a.inc] = append(w.told[a.inc], a.kind)
	return fmt.Sprintf("%s %d", map[deed]string{doDrain: "drain", doTerm: "term", doKill: "kill"}[a.kind], a.inc)
}

// exit lets a process end, as the kernel would tell.
func (w *world) exit(inc uint64, clean bool) []string {
	delete(w.alive, inc)
	return w.step(input{kind: hExit, inc: inc, clean: clean})
}

// pass lets time go by.
func (w *world) pass(d time.Duration) {
	end := w.now.Add(d)
	for {
		slices.SortStableFunc(w.timer, func(a, b timer) int { return a.at.Compare(b.at) })
		if len(w.timer) == 0 || w.timer[0].at.After(end) {
			break
		}
		t := w.timer[0]
		w.timer, w.now = w.timer[1:], t.at
		w.step(t.in)
	}
	w.now = end
}

func TestLife(t *testing.T) {
	type at = control.State
	up := func(w *world) { // a ready worker, incarnation 1
		w.step(input{kind: hWant, want: wantRun})
		w.step(input{kind: hReady, inc: 1})
	}
	crash := func(w *world, n int) { // n ends in a row without ever being ready
		for range n {
			w.exit(w.cur.inc, false)
			w.pass(time.Second * 5)
		}
	}
	tests := map[string]struct {
		spec    control.PoolSpec
		lasting bool
		do      func(*world)
		state   at
		cur     uint64
		old     int
	}{
		"starts when wanted":        {do: func(w *world) { w.step(input{kind: hWant, want: wantRun}) }, state: control.Starting, cur: 1},
		"up is not ready":           {do: up, state: control.Ready, cur: 1},
		"one crash: again at once":  {do: func(w *world) { up(w); w.exit(1, false) }, state: control.Starting, cur: 2},
		"never ready: backs off":    {do: func(w *world) { w.step(input{kind: hWant, want: wantRun}); w.exit(1, false) }, state: control.Backoff},
		"back-off ends":             {do: func(w *world) { w.step(input{kind: hWant, want: wantRun}); w.exit(1, false); w.pass(time.Second) }, state: control.Starting, cur: 2},
		"too often: dead":           {do: func(w *world) { w.step(input{kind: hWant, want: wantRun}); crash(w, 6) }, state: control.Dead},
		"built in: never dead":      {lasting: true, do: func(w *world) { w.step(input{kind: hWant, want: wantRun}); crash(w, 30) }, state: control.Backoff},
		"revived":                   {do: func(w *world) { w.step(input{kind: hWant, want: wantRun}); crash(w, 6); w.step(input{kind: hRevive}) }, state: control.Starting, cur: 7},
		"on-failure, exit 0: dead":  {spec: control.PoolSpec{Policy: control.OnFailure}, do: func(w *world) { up(w); w.exit(1, true) }, state: control.Dead},
		"on-failure, exit 1: again": {spec: control.PoolSpec{Policy: control.OnFailure}, do: func(w *world) { up(w); w.exit(1, false) }, state: control.Starting, cur: 2},
		"never, exit 0: done":       {spec: control.PoolSpec{Policy: control.Never}, do: func(w *world) { up(w); w.exit(1, true) }, state: control.Done},
		"schedule: away and back, it waits": {spec: control.PoolSpec{Policy: control.Never, Schedule: "@daily"}, do: func(w *world) {
			up(w)
			w.exit(1, true)
			w.step(input{kind: hWant, want: wantNone})
			w.step(input{kind: hWant, want: wantRun})
		}, state: control.Done},
		"never, exit 1: dead": {spec: control.PoolSpec{Policy: control.Never}, do: func(w *world) { up(w); w.exit(1, false) }, state: control.Dead},
		"stopped drains":      {do: func(w *world) { up(w); w.step(input{kind: hWant, want: wantStopped}) }, state: control.Draining, old: 1},
		"stopped":             {do: func(w *world) { up(w); w.step(input{kind: hWant, want: wantStopped}); w.exit(1, true) }, state: control.Stopped},
		"stop overtakes a back-off": {do: func(w *world) {
			w.step(input{kind: hWant, want: wantRun})
			w.exit(1, false)
			w.step(input{kind: hWant, want: wantStopped})
			w.pass(time.Minute)
		}, state: control.Stopped},
		"wanted again while it goes": {do: func(w *world) { up(w); w.step(input{kind: hWant}); w.step(input{kind: hWant, want: wantRun}) }, state: control.Starting, cur: 2, old: 1},
		"successor prepared":         {do: func(w *world) { up(w); w.step(input{kind: hPrepare, gen: 2}) }, state: control.Ready, cur: 1},
		"successor takes over": {do: func(w *world) {
			up(w)
			w.step(input{kind: hPrepare, gen: 2})
			w.step(input{kind: hReady, inc: 2})
			w.step(input{kind: hCommit})
		}, state: control.Ready, cur: 2, old: 1},
		"no takeover before ready": {do: func(w *world) { up(w); w.step(input{kind: hPrepare, gen: 2}); w.step(input{kind: hCommit}) }, state: control.Ready, cur: 1},
		"successor fails":          {do: func(w *world) { up(w); w.step(input{kind: hPrepare, gen: 2}); w.exit(2, false) }, state: control.Ready, cur: 1},
		"current dies while one is prepared": {do: func(w *world) {
			up(w)
			w.step(input{kind: hPrepare, gen: 2})
			w.exit(1, false)
		}, state: control.Starting},
		"alone: retires first": {do: func(w *world) { up(w); w.step(input{kind: hPrepare, gen: 2, alone: true}) }, state: control.Draining, old: 1},
		"alone: then the successor": {do: func(w *world) {
			up(w)
			w.step(input{kind: hPrepare, gen: 2, alone: true})
			w.exit(1, true)
		}, state: control.Starting},
		"alone: the successor takes over": {do: func(w *world) {
			up(w)
			w.step(input{kind: hPrepare, gen: 2, alone: true})
			w.exit(1, true)
			w.step(input{kind: hReady, inc: 2})
			w.step(input{kind: hCommit})
		}, state: control.Ready, cur: 2},
		"alone: the successor fails": {do: func(w *world) {
			up(w)
			w.step(input{kind: hPrepare, gen: 2, alone: true})
			w.exit(1, true)
			w.exit(2, false)
		}, state: control.Starting, cur: 3},
		"alone: given up while the old one goes": {do: func(w *world) {
			up(w)
			w.step(input{kind: hPrepare, gen: 2, alone: true})
			w.step(input{kind: hAbandon})
		}, state: control.Draining, old: 1},
		"without surge: wanted again while it goes": {spec: control.PoolSpec{MaxSurge: control.NoSurge}, do: func(w *world) {
			up(w)
			w.step(input{kind: hWant})
			w.step(input{kind: hWant, want: wantRun})
		}, state: control.Draining, old: 1},
		"both die": {do: func(w *world) {
			up(w)
			w.step(input{kind: hPrepare, gen: 2})
			w.exit(1, false)
			w.exit(2, false)
		}, state: control.Starting, cur: 3},
		"lost: killed and replaced": {do: func(w *world) { up(w); w.step(input{kind: hLost, inc: 1}); w.exit(1, false) }, state: control.Starting, cur: 2},
		"too slow to be ready":      {do: func(w *world) { w.step(input{kind: hWant, want: wantRun}); w.pass(31 * time.Second) }, state: control.Draining, cur: 1},
		"forgiven after staying ready": {do: func(w *world) {
			up(w)
			for range 4 {
				w.exit(w.cur.inc, false)
				w.pass(time.Second)
				w.step(input{kind: hReady, inc: w.cur.inc})
				w.pass(11 * time.Second)
			}
			w.exit(w.cur.inc, false)
		}, state: control.Starting, cur: 6},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(test.spec, test.lasting)
			test.do(w)
			if w.state() != test.state || w.cur.inc != test.cur || len(w.old) != test.old {
				t.Errorf("state %s, current %d, %d retiring; want %s, %d, %d", w.state(), w.cur.inc, len(w.old), test.state, test.cur, test.old)
			}
		})
	}
}

// TestCrashes: what counts as a crash, although each is replaced, and for how
// long.
func TestCrashes(t *testing.T) {
	ready := func(w *world) { w.step(input{kind: hReady, inc: w.cur.inc}) }
	crash := func(w *world) {
		w.step(input{kind: hExit, inc: w.cur.inc, why: "panic: late"})
		w.pass(20 * time.Second)
		ready(w)
	}
	for name, test := range map[string]struct {
		do   func(*world)
		want int
	}{
		"each of them, though it was ready each time": {func(w *world) { crash(w); crash(w); crash(w) }, 3},
		"one that is not ready":                       {func(w *world) { crash(w); crash(w); w.exit(w.cur.inc, false); w.exit(w.cur.inc, false) }, 3},
		"a clean end":                                 {func(w *world) { w.exit(w.cur.inc, true) }, 0},
		"one that was lost":                           {func(w *world) { w.step(input{kind: hLost, inc: w.cur.inc}); w.exit(w.cur.inc, false) }, 1},
		"one that was asked to go":                    {func(w *world) { w.step(input{kind: hWant, want: wantStopped}); w.exit(1, false) }, 0},
		"the old one of a reload": {func(w *world) {
			w.step(input{kind: hPrepare, gen: 2})
			w.step(input{kind: hReady, inc: w.next.inc})
			w.step(input{kind: hCommit})
			w.exit(1, false)
		}, 0},
		"before a reload": {func(w *world) {
			crash(w)
			w.step(input{kind: hPrepare, gen: 2})
			w.step(input{kind: hReady, inc: w.next.inc})
			w.step(input{kind: hCommit})
		}, 0},
		"before a revive":     {func(w *world) { crash(w); w.step(input{kind: hRevive}) }, 0},
		"before a long quiet": {func(w *world) { crash(w); w.pass(control.CrashesLast); crash(w) }, 1},
		"now and then for hours": {func(w *world) {
			for range 20 {
				w.pass(control.CrashesLast / 2)
				crash(w)
			}
		}, 20},
	} {
		w := newWorld(control.PoolSpec{MaxRestarts: 100}, false)
		w.step(input{kind: hWant, want: wantRun})
		ready(w)
		test.do(w)
		if w.crashes.Count != test.want || test.want > 0 && !w.crashes.Last.After(w.crashes.Since.Add(-1)) {
			t.Errorf("%s: %+v, want %d", name, w.crashes, test.want)
		}
	}
}

// TestCrashesOften: that each replacement becomes ready again makes it no less
// than what the intensity allows.
func TestCrashesOften(t *testing.T) {
	w := newWorld(control.PoolSpec{}, false)
	w.step(input{kind: hWant, want: wantRun})
	n := 0
	for ; w.state() != control.Dead && n < 20; n++ {
		w.step(input{kind: hReady, inc: w.cur.inc})
		w.pass(3 * time.Second)
		w.exit(w.cur.inc, false)
		w.pass(5 * time.Second) // the back-off
	}
	if n != control.DefaultMaxRestarts+1 {
		t.Errorf("%s after %d crashes", w.state(), n)
	}
}

func TestEscalation(t *testing.T) {
	w := newWorld(control.PoolSpec{}, false)
	w.step(input{kind: hWant, want: wantRun})
	w.step(input{kind: hReady, inc: 1})
	w.step(input{kind: hWant, want: wantStopped})
	w.pass(5 * time.Minute)
	if d := cmp.Diff([]deed{doDrain, doTerm, doKill}, w.told[1]); d != "" {
		t.Errorf("what a worker was told that never ends (-want +got):\n%s", d)
	}
}

func TestLastingSessionsStay(t *testing.T) {
	w := newWorld(control.PoolSpec{MaxOutgoing: 2}, true)
	w.step(input{kind: hWant, want: wantRun})
	w.step(input{kind: hReady, inc: 1})
	for range 2 {
		w.step(input{kind: hPrepare, gen: 2})
		w.step(input{kind: hReady, inc: w.next.inc})
		w.step(input{kind: hCommit})
		w.pass(time.Hour)
	}
	if len(w.old) != 2 || len(w.told[1]) != 1 {
		t.Fatalf("%d retiring, the first was told %v; want 2, drain alone", len(w.old), w.told[1])
	}
	w.step(input{kind: hPrepare, gen: 2})
	w.step(input{kind: hReady, inc: w.next.inc})
	w.step(input{kind: hCommit})
	if d := cmp.Diff([]deed{doDrain, doDrain}, w.told[1]); d != "" {
		t.Errorf("what the oldest was told when there was one too many (-want +got):\n%s", d)
	}
}

func TestBackoffGrows(t *testing.T) {
	w := newWorld(control.PoolSpec{MaxRestarts: 100}, false)
	w.step(input{kind: hWant, want: wantRun})
	var got []time.Duration
	for range 12 {
		w.exit(w.cur.inc, false)
		got = append(got, w.timer[len(w.timer)-1].at.Sub(w.now))
		w.timer = nil
		w.step(input{kind: hBackoff, inc: w.waiting})
	}
	ms := time.Millisecond
	want := []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 12800 * ms, 25600 * ms, 30000 * ms, 30000 * ms, 30000 * ms}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("delays (-want +got):\n%s", d)
	}
}

// TestModel throws random events at the table and checks after each what must
// always hold.
func TestModel(t *testing.T) {
	specs := []control.PoolSpec{{}, {Policy: control.OnFailure}, {Policy: control.Never}, {MaxOutgoing: 2}, {MaxRestarts: 1}, {MaxSurge: control.NoSurge}, {MaxSurge: control.NoSurge, Policy: control.Never}, {MaxSurge: control.NoSurge, Policy: control.Never, Schedule: "@daily"}}
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		w := newWorld(specs[seed%uint64(len(specs))], seed%3 == 0)
		for i := range 300 {
			what := w.random(rnd)
			if broken := w.broken(); broken != "" {
				t.Fatalf("seed %d, event %d (%s): %s\n%+v", seed, i, what, broken, w.slotState)
			}
		}
		w.quiet(t, seed)
	}
}

// random is one event that can happen now.
func (w *world) random(rnd *rand.Rand) string {
	pick := func() uint64 {
		var all []uint64
		for inc := range w.alive {
			all = append(all, inc)
		}
		if len(all) == 0 || rnd.IntN(10) == 0 {
			return rnd.Uint64N(w.last + 2) // one that has gone, or never was
		}
		slices.Sort(all)
		return all[rnd.IntN(len(all))]
	}
	switch n := rnd.IntN(14); n {
	case 0, 1, 2:
		inc := pick()
		if !w.alive[inc] {
			return "nothing"
		}
		w.exit(inc, rnd.IntN(2) == 0)
		return fmt.Sprintf("exit %d", inc)
	case 3, 4, 5:
		w.step(input{kind: hReady, inc: pick()})
	case 6:
		w.step(input{kind: hWant, want: want(rnd.IntN(3))})
	case 7:
		w.step(input{kind: hPrepare, gen: w.gen + rnd.IntN(2), alone: rnd.IntN(3) == 0})
	case 8:
		w.step(input{kind: hCommit})
	case 9:
		w.step(input{kind: hAbandon})
	case 10:
		w.step(input{kind: hLost, inc: pick()})
	case 11:
		w.step(input{kind: hRevive})
	case 12:
		w.step(input{kind: []happening{hEndOldest, hEndAll}[rnd.IntN(2)]})
	default:
		w.pass(time.Duration(rnd.Int64N(int64(40 * time.Second))))
	}
	return "step"
}

// broken tells which invariant does not hold.
func (w *world) broken() string {
	seen := map[uint64]int{}
	for _, p := range append([]processState{w.cur, w.next}, w.old...) {
		if p.some() {
			seen[p.inc]++
		}
	}
	for inc, n := range seen {
		switch {
		case n > 1:
			return fmt.Sprintf("incarnation %d stands in %d places", inc, n)
		case !w.alive[inc]:
			return fmt.Sprintf("incarnation %d was reaped and is still there", inc)
		}
	}
	for inc := range w.alive {
		if seen[inc] == 0 {
			return fmt.Sprintf("incarnation %d runs and nobody knows it", inc)
		}
	}
	switch {
	case w.want != wantRun && (w.cur.some() || w.next.some()):
		return "not wanted, and not retiring"
	case w.pol.MaxSurge < 0 && len(w.alive) > 1:
		return "two processes overlap in a pool without surge"
	case w.alone && len(w.old) > 0 && (w.cur.some() || w.next.some()):
		return "a process runs beside one that must have gone before"
	case w.coming.gen != 0 && (w.next.some() || !w.alone || len(w.old) == 0):
		return "a successor is to come and nothing holds it back"
	case w.want == wantRun && w.hold == "" && !w.cur.some() && !w.next.some() && (len(w.old) == 0 || !w.alone && w.pol.MaxSurge >= 0):
		return "wanted, nothing holds it back, and nothing runs"
	case w.hold != "" && w.cur.some():
		return "held back and running"
	case w.pol.BuiltIn && w.hold == control.Dead && w.pol.Policy == control.Always:
		return "a built-in pool is dead"
	}
	for _, p := range w.old {
		if p.ending == notEnding {
			return fmt.Sprintf("incarnation %d retires and was told nothing", p.inc)
		}
	}
	return ""
}

// quiet checks that everything that is not wanted ends by itself or is killed,
// and nothing is killed that was not told before.
func (w *world) quiet(t *testing.T, seed uint64) {
	t.Helper()
	w.step(input{kind: hWant, want: wantStopped})
	w.step(input{kind: hEndAll})
	w.pass(10 * time.Minute)
	for inc := range w.alive {
		if told := w.told[inc]; !slices.Contains(told, doKill) {
			t.Fatalf("seed %d: incarnation %d is still there after ten minutes and was told only %v", seed, inc, told)
		}
	}
}
