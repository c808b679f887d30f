package primary

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

// pooled lets the reload of a pool live without processes: it answers the actions
// of its slots and of the reload.
type pooled struct {
	c        *poolReload
	j        *job
	now      time.Time
	last     uint64
	down     map[int]bool // a process of the slot ended that nobody asked to
	budget   int          // how often something may still go wrong
	cancels  int
	kills    int // of the primary
	durable  *pooled
	trouble  string // an invariant that did not hold
	finished bool   // succeeded
}

type pooledCase struct {
	spec    control.PoolSpec
	request control.ReloadRequest
	moved   bool
	again   bool
	calm    bool // only one thing may go wrong: there are too many states else
}

func newPooled(slots int, k pooledCase) *pooled {
	spec := k.spec
	spec.Name, spec.Canary, spec.MaxRestarts = "web", time.Second, 1000
	spec = spec.WithDefaults()
	p := &pool{protocol: library{}, spec: spec, gen: 1, lastGen: 2, target: slots, generations: []*generation{{number: 1, outcome: control.Good}, {number: 2, outcome: control.Undecided}}}
	w := &pooled{j: &job{story: newStory()}, now: time.Unix(1e9, 0), down: map[int]bool{}, budget: 2, cancels: 1, kills: 1}
	if k.calm {
		w.budget = 1
	}
	g := p.generations[1]
	if k.again {
		g = nil
	}
	w.c = newReload(p, g, k.request)
	if w.c.From, w.c.To = 1, 1; g != nil {
		w.c.To = 2
	}
	for i := range slots {
		p.slots = append(p.slots, newSlot(p, i))
		w.slot(i, input{kind: hWant, want: wantRun})
		w.slot(i, input{kind: hReady, inc: p.slots[i].cur.inc})
	}
	if k.moved {
		g.listen = []string{"tcp://127.0.0.2:80"}
	}
	w.c.setWatch()
	in := reloadInput{kind: rBegin, now: w.now}
	for i := range slots {
		in.slots = append(in.slots, slotReload{Slot: i, Step: slotPending})
	}
	w.step(in)
	w.settle()
	return w
}

func (w *pooled) clone() *pooled {
	n := *w
	c, of, j := *w.c, w.c.pool, *w.j
	p := &pool{protocol: library{}, spec: of.spec, gen: of.gen, lastGen: of.lastGen, target: of.target, generations: of.generations}
	n.c, n.j, c.reload, c.pool = &c, &j, c.copy(), p
	for _, s := range w.c.pool.slots {
		o := *s
		o.slotState, o.pool, o.processes = s.copy(), p, make(map[uint64]*process)
		for inc, r := range s.processes {
			o.processes[inc] = &process{inc: r.inc, gen: r.gen, closed: r.closed}
		}
		p.slots = append(p.slots, &o)
	}
	n.down = make(map[int]bool)
	for i, d := range w.down {
		n.down[i] = d
	}
	return &n
}

func (w *pooled) wrong(format string, args ...any) {
	if w.trouble == "" {
		w.trouble = fmt.Sprintf(format, args...)
	}
}

// slot lets something happen to a slot.
func (w *pooled) slot(i int, in input) {
	s := w.c.pool.slots[i]
	in.now, in.fresh = w.now, w.last+1
	var todo []action
	s.slotState, todo = step(s.slotState, s.pool.spec, in)
	for _, a := range todo {
		if a.kind == doSpawn {
			w.last = a.inc
			s.processes[a.inc] = &process{inc: a.inc, gen: a.gen}
		}
	}
}

func (w *pooled) exit(i int, inc uint64) {
	s := w.c.pool.slots[i]
	p, at := s.find(inc)
	if at == atCur && p.ending == notEnding {
		w.down[i] = true
	}
	s.exits = slices.Insert(slices.Clone(s.exits), 0, control.Exit{Incarnation: inc, Reason: "ended"})
	delete(s.processes, inc)
	w.slot(i, input{kind: hExit, inc: inc})
}

// step lets something happen to the reload.
func (w *pooled) step(in reloadInput) {
	before := w.c.copy()
	next, todo := stepReload(w.c.reload, w.c.policy(), in)
	if !reflect.DeepEqual(before, w.c.copy()) {
		w.wrong("the step changed its argument")
	}
	if len(todo) == 0 && reflect.DeepEqual(before, next) && in.kind != rLost && in.kind != rLoaded {
		w.wrong("event %d changes nothing in %s", in.kind, w)
		next.Phase = reloadFailed
	}
	w.c.reload = next
	for _, a := range todo {
		w.do(a)
	}
}

func (w *pooled) do(a reloadAction) {
	s := w.c.pool.slots[a.slot]
	serves := s.cur.serves()
	switch a.kind {
	case doWrite:
		w.durable = w.clone()
	case doPrepare:
		w.slot(a.slot, input{kind: hPrepare, gen: a.gen, alone: w.c.policy().alone()})
		if serves && !s.cur.serves() && !w.c.policy().alone() {
			w.wrong("a start took the process of slot %d", a.slot)
		}
	case doCommit:
		if !s.next.serves() {
			w.wrong("slot %d goes to a successor that does not serve", a.slot)
		}
		w.slot(a.slot, input{kind: hCommit})
	case doAbandon:
		w.slot(a.slot, input{kind: hAbandon})
	case doSucceed:
		w.finished = true
	}
}

// settle does everything that follows, and checks what must always hold.
func (w *pooled) settle() {
	for i, s := range w.c.pool.slots {
		if s.vacant() {
			w.slot(i, input{kind: hWant, want: wantRun})
		}
	}
	for !w.c.ended() && w.trouble == "" {
		in, ok := w.c.sense(w.j, w.now)
		if !ok {
			break
		}
		w.step(in)
	}
	inHand, alone := 0, w.c.policy().alone()
	for i, s := range w.c.pool.slots {
		if s.cur.serves() {
			delete(w.down, i)
		}
		k := slices.IndexFunc(w.c.Slots, func(o slotReload) bool { return o.Slot == i })
		busy := k >= 0 && (w.c.Slots[k].inHand() || w.c.Slots[k].Step == slotRefilling)
		if k >= 0 && w.c.Slots[k].inHand() {
			inHand++
		}
		if !s.cur.serves() && !w.down[i] && !(alone && busy) {
			w.wrong("slot %d does not serve, and nothing happened to it: %s", i, w)
		}
	}
	if inHand > w.c.policy().surge() || w.c.Phase == reloadCanary && (inHand > 1 || w.c.has(slotChanged)) {
		w.wrong("%d slots in hand: %s", inHand, w)
	}
	if w.c.ended() {
		w.ends()
	}
}

// ends checks how a reload has ended.
func (w *pooled) ends() {
	all := map[int]bool{}
	for i, s := range w.c.pool.slots {
		all[s.gen] = true
		if s.next.some() || s.coming.gen != 0 {
			w.wrong("slot %d is left with a successor: %s", i, w)
		}
	}
	moved := w.c.moves()
	switch {
	case len(all) == 1 && all[w.c.To] && (w.c.Phase == reloadDone || w.c.Phase == reloadCancelled):
	case len(all) == 1 && all[w.c.From] && w.c.Phase != reloadDone && !w.finished:
	case w.c.Phase == reloadFailed && w.c.request.Keep && !moved, w.c.Phase == reloadCancelled && !moved && !w.finished:
	default:
		w.wrong("it ends with neither all new nor all old: %s", w)
	}
}

// move is something that can happen now.
type move struct {
	name string
	bad  bool
	do   func(*pooled)
}

func (w *pooled) moves() (all []move) {
	add := func(name string, bad bool, do func(*pooled)) { all = append(all, move{name, bad, do}) }
	for i, s := range w.c.pool.slots {
		for _, p := range append([]processState{s.cur, s.next}, s.old...) {
			if p.some() {
				w.processMoves(i, p, add)
			}
		}
		if s.hold == control.Backoff {
			add(fmt.Sprintf("back-off %d", i), false, func(w *pooled) { w.slot(i, input{kind: hBackoff, inc: w.c.pool.slots[i].waiting}) })
		}
	}
	for d, matters := range map[time.Duration]bool{
		w.c.pool.spec.Canary:                       w.c.has(slotProving),
		closeTimeout + w.c.pool.spec.LameDuck:      slices.ContainsFunc(w.c.Leaving, func(o leaving) bool { return o.Step == leavingClosing }),
		closeTimeout + max(w.c.Watch, time.Minute): w.c.Phase == reloadWatching,
	} {
		if matters {
			add(fmt.Sprintf("after %v", d), false, func(w *pooled) { w.now = w.now.Add(d) })
		}
	}
	if w.cancels > 0 && w.budget > 0 {
		add("cancel", true, func(w *pooled) { w.budget, w.cancels, w.j.cancelled = w.budget-1, 0, true })
	}
	if w.kills > 0 && w.budget > 0 {
		add("primary ends", true, func(w *pooled) { w.load(w) })
		if !w.c.Again {
			add("an earlier primary goes on", true, func(w *pooled) { w.loadEarlier() })
		}
		add("primary ends before a start is written", true, func(w *pooled) { w.load(w.unwritten()) })
		add("primary ends with an old record", true, func(w *pooled) { w.load(w.durable.clone()) })
	}
	slices.SortFunc(all, func(a, b move) int { return strings.Compare(a.name, b.name) })
	return all
}

func (w *pooled) processMoves(i int, p processState, add func(string, bool, func(*pooled))) {
	name := fmt.Sprintf("%d/%d", i, p.inc)
	leaves := p.ending != notEnding
	if !p.ready && !leaves {
		add("ready "+name, false, func(w *pooled) { w.slot(i, input{kind: hReady, inc: p.inc}) })
	}
	if r := w.c.pool.slots[i].processes[p.inc]; p.ending == told && !r.closed {
		add("closed "+name, false, func(w *pooled) { w.c.pool.slots[i].processes[p.inc].closed = true })
	}
	switch {
	case leaves:
		add("exit "+name, false, func(w *pooled) { w.exit(i, p.inc) })
	case w.budget > 0 && (p.gen == w.c.To || p.ready): // the old generation starts as it did before
		add("exit "+name, true, func(w *pooled) { w.budget--; w.exit(i, p.inc) })
		if !p.ready {
			add("timeout "+name, true, func(w *pooled) { w.budget--; w.slot(i, input{kind: hReadyTimeout, inc: p.inc}) })
		}
	}
}

// unwritten is what a record says that was written before the last starts.
func (w *pooled) unwritten() *pooled {
	r := w.clone()
	for _, s := range r.c.pool.slots {
		if s.next.some() && !s.next.ready {
			delete(s.processes, s.next.inc)
			s.next = processState{}
		}
	}
	return r
}

// load is a next primary that reads a record: the reload as a value, and the slots.
func (w *pooled) load(r *pooled) {
	alive := map[uint64]processState{}
	for _, s := range w.c.pool.slots {
		for _, p := range append([]processState{s.cur, s.next}, s.old...) {
			alive[p.inc] = p
		}
	}
	data, err := ipc.Encode(r.c.reload)
	if err == nil {
		err = ipc.Decode(data, &r.c.reload)
	}
	if err != nil {
		w.wrong("%v", err)
	}
	w.j = &job{story: newStory()} // that it was cancelled is in its phase
	w.c, w.durable, w.kills, w.budget = r.c, r.clone(), 0, w.budget-1
	for i, s := range w.c.pool.slots {
		if !s.cur.serves() {
			w.down[i] = true // it was, or its successor's start is lost
		}
		for inc := range s.processes { // what has gone or was asked to go meanwhile
			p, at := s.find(inc)
			if now := alive[inc]; at != nowhere && (!now.some() || now.ending != p.ending) {
				w.down[i] = true
				w.exit(i, inc)
			}
		}
	}
	for _, in := range w.c.loading(w.now) {
		w.step(in)
	}
}

// loadEarlier is a next primary of a version that knows no states of a reload.
func (w *pooled) loadEarlier() {
	r := w.c.record()
	w.c.reload = r.state(w.j, w.c.pool)
	w.j = &job{story: newStory()}
	w.load(w)
}

func (w *pooled) String() string {
	var b strings.Builder
	names := map[uint64]int{0: 0}
	name := func(inc uint64) int {
		if _, ok := names[inc]; !ok {
			names[inc] = len(names)
		}
		return names[inc]
	}
	c := w.c
	fmt.Fprintf(&b, "%s %d %d %t %t %t|", c.Phase, w.budget, w.cancels+2*w.kills, w.j.cancelled, c.Cause != "", c.Watch > 0 && !c.Watched.IsZero() && w.now.Sub(c.Watched) >= c.Watch)
	for i, s := range c.pool.slots {
		fmt.Fprintf(&b, "%d %s %d %t %t %d down %t", s.gen, s.hold, s.coming.gen, c.Watch > 0 && s.crashes.Count > 0, s.alone, min(s.failures, 1), w.down[i])
		for _, p := range append([]processState{s.cur, s.next}, s.old...) {
			r := s.processes[p.inc]
			fmt.Fprintf(&b, " %d:%d %t %d %t %t", name(p.inc), p.gen, p.ready, p.ending, r != nil && r.closed, p == s.next && p.ready && w.now.Sub(p.readyAt) >= c.pool.spec.Canary)
		}
		b.WriteString("|")
	}
	for _, s := range c.Slots {
		fmt.Fprintf(&b, "%d %s %d %d %d|", s.Slot, s.Step, name(s.Successor), name(s.Old), s.Before)
	}
	for _, o := range c.Leaving {
		fmt.Fprintf(&b, "%d %s %d %d %t %t|", o.Slot, o.Step, name(o.Successor), name(o.Old), o.Back, w.now.Sub(o.Since) >= closeTimeout+c.pool.spec.LameDuck)
	}
	return b.String()
}

var pooledCases = map[string]pooledCase{
	"one at a time":        {},
	"two at a time":        {spec: control.PoolSpec{MaxSurge: 2}},
	"without surge":        {spec: control.PoolSpec{MaxSurge: control.NoSurge}},
	"keeps":                {request: control.ReloadRequest{Keep: true}},
	"watches":              {request: control.ReloadRequest{Watch: time.Hour}, calm: true},
	"to another address":   {moved: true, request: control.ReloadRequest{Keep: true}, calm: true},
	"each its own again":   {again: true},
	"sessions may outlive": {spec: control.PoolSpec{MaxOutgoing: 4}},
}

// TestReloadModel goes through every order of what can happen to a reload of two
// slots. Two things may go wrong: a start, a process that serves, a cancel, the end
// of the primary.
func TestReloadModel(t *testing.T) {
	for name, k := range pooledCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen, ended := map[string]bool{}, map[phase]int{}
			type path struct {
				w   *pooled
				way string
			}
			todo := []path{{newPooled(2, k), ""}}
			for len(todo) > 0 {
				at := todo[len(todo)-1]
				todo = todo[:len(todo)-1]
				if at.w.trouble != "" {
					t.Fatalf("%s\nafter%s", at.w.trouble, at.way)
				}
				if key := at.w.String(); seen[key] {
					continue
				} else if seen[key] = true; at.w.c.ended() {
					ended[at.w.c.Phase]++
					continue
				}
				for _, m := range at.w.moves() {
					w := at.w.clone()
					m.do(w)
					w.settle()
					todo = append(todo, path{w, at.way + "; " + m.name})
				}
			}
			if ended[reloadDone] == 0 || ended[reloadFailed] == 0 || ended[reloadCancelled] == 0 {
				t.Errorf("not every end was met: %v", ended)
			}
			t.Logf("%d states, ends %v", len(seen), ended)
		})
	}
}

// TestReloadWalks goes at random through reloads of four slots, and sees that each
// comes to an end when nothing goes wrong any more.
func TestReloadWalks(t *testing.T) {
	for name, k := range pooledCases {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(500) {
				rnd := rand.New(rand.NewPCG(seed, 7))
				w, way := newPooled(4, k), ""
				w.budget = 5
				for n := 0; !w.c.ended(); n++ {
					all := w.moves()
					if n > 60 {
						all = slices.DeleteFunc(all, func(m move) bool { return m.bad })
					}
					if n > 2000 || len(all) == 0 {
						t.Fatalf("seed %d: it does not end: %s\nafter%s", seed, w, way)
					}
					m := all[rnd.IntN(len(all))]
					way += "; " + m.name
					m.do(w)
					if w.settle(); w.trouble != "" {
						t.Fatalf("seed %d: %s\nafter%s", seed, w.trouble, way)
					}
				}
			}
		})
	}
}
