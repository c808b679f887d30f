package primary

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/notify"
	"github.com/norestart/norestart/internal/trim"
)

// event is run on the loop's goroutine.
type event func(*loop)

// loop owns all state of the cluster. One goroutine runs it; all others post
// events to it and get immutable values back.
type loop struct {
	cfg   Config
	post  func(event) bool // false once the loop has ended
	spawn *spawner
	log   *eventLog[control.LogLine]
	news  *eventLog[control.Event]
	calls *calls
	file  *reader[Configuration]
	call  func(context.Context, control.CallRequest, func(control.CallReply) error) error
	app   []byte // the configuration of the application that holds; nil: there is none
	con   *console
	// Signals stay here until they are handled, so that an exec sees them.
	signals chan os.Signal

	pools    []*pool
	counter  *counter
	before   uint64 // the last incarnation of earlier primaries
	bootID   string
	saver    *saver
	changed  bool // since the record was written
	saving   bool // a write of the record is due
	healing  healing
	queue    queueCheck
	adopted  []adoptee
	im       *image           // what the image before this one left; nil after a start
	jobs     []*job           // in the order in which they began
	errands  []*errand        // that run
	shut     []*inherit.Group // of pools that are no more
	lastJob  int
	since    time.Time
	began    time.Duration // the same on the clock that nobody can set
	looked   time.Time     // the last run of checkBeats
	looks    []look
	looking  bool
	weighing weighing
	hearing  *hearing
	early    []notify.Message // from processes that are being started
	waiting  []*process       // to be let in, when the record has them
	stopping bool
	stopJob  *job // while stopping
	ended    bool
	fatal    error // why it ended, if it could not begin
	greeted  bool  // the line that all is ready has been printed
	manager  manager
	trimmer  trim.Trimmer // after a burst of work
}

// trimAfter is the pause after which the memory of a burst of work is given back,
// even while a job waits for its canary: objects that live on after the next
// burst then lie close together.
const trimAfter = 300 * time.Millisecond

func (l *loop) putOffTrim() { l.trimmer.After(trimAfter) }

// run handles events and signals until the cluster has stopped; the end of ctx
// stops it.
func (l *loop) run(ctx context.Context, events <-chan event, signals chan os.Signal) {
	l.signals = signals
	over := ctx.Done()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	defer l.trimmer.Stop()
	defer l.pauseSupervised()
	l.putOffTrim()
	l.looked = time.Now()
	l.reconcile()
	l.keepTime(l.looked)
	for !l.ended {
		select {
		case e := <-events:
			e(l)
		case s := <-signals:
			l.signalled(s)
		case <-over:
			over = nil
			_, _ = l.stop("the end of its context") // the first one is not refused, and each later one is that one
		case <-tick.C:
			l.checkBeats(time.Now())
			l.discardHungUp()
			if !l.stopping { // to look is to connect, and workers still accept
				l.removeFiles()
			}
			l.lookAgain()
			l.heal(time.Now())
			l.relieve()
			l.reportStatus()
			l.weigh(time.Now())
			l.recycle(time.Now())
			l.cure(time.Now())
			l.keepTime(time.Now())
		}
		l.reconcile()
	}
}

const tickEvery = time.Second

// reconcile is level-triggered: after every event it compares what is with what
// should be.
func (l *loop) reconcile() {
	for _, p := range l.pools {
		if p.adoption != nil {
			l.completeAdoption(p)
		}
		if p.adoption != nil {
			continue
		}
		l.reconcilePool(p)
		l.prove(p)
		for _, g := range p.generations {
			l.identify(g)
		}
	}
	for _, j := range l.running() {
		if !l.adopting(j) {
			j.work.advance(l, j)
		}
	}
	for _, p := range l.pools {
		p.closeUnused()
		p.steer(l)
		p.tellRelay()
	}
	l.greet()
	l.reportReload()
	l.end()
	l.save()
}

// adopting reports whether a pool of the job is still being taken over.
func (l *loop) adopting(j *job) bool {
	for _, p := range l.pools {
		if p.adoption != nil && (p.job == j || j.Kind == "stop") {
			return true
		}
	}
	return false
}

// reconcilePool gives each slot the wish that follows from the pool's target.
func (l *loop) reconcilePool(p *pool) {
	for len(p.slots) < p.target {
		p.slots = append(p.slots, newSlot(p, len(p.slots)))
	}
	app := !p.spec.BuiltIn || l.relays(p) // the relay finishes together with them
	over := (p.ending || l.stopping && (app || l.appsIdle())) && !l.needed(p)
	if over && l.stopping && app {
		p.unlisten()
	}
	p.waits = l.awaited(p)
	for i, s := range p.slots {
		w := s.want
		switch {
		case over:
			w = wantNone
		case i >= p.target:
			w = wantNone
		case w == wantNone && p.waits == nil:
			w = wantRun
		}
		if w != s.want || s.vacant() {
			l.step(s, input{kind: hWant, want: w})
		}
		if s.want != wantRun && s.idle() {
			s.discard(func(*stored) bool { return true })
		}
		if over && s.lasts() { // sessions are not waited for
			l.step(s, input{kind: hEndAll})
		}
	}
}

// step applies an input to a slot and carries out what follows.
func (l *loop) step(s *slot, in input) {
	in.now, in.rnd, in.fresh = time.Now(), rand.Float64(), l.counter.next()
	in.closed = s.pool.adoption != nil
	var todo []action
	s.slotState, todo = step(s.slotState, s.pool.spec, in)
	for _, a := range todo {
		l.do(s, a)
	}
}

func (l *loop) do(s *slot, a action) {
	switch a.kind {
	case doSpawn:
		if err := l.counter.take(); err != nil {
			l.tell(control.Event{Kind: control.EventClusterTrouble, Text: err.Error()})
		}
		l.start(s, a.inc, a.gen)
	case doDrain:
		l.ahead(s, a.inc, func(l *loop) {
			l.drain(s, a)
			l.handOverAgain(s, a.inc)
		})
	case doTerm:
		if p, _ := s.find(a.inc); p.reason != "" {
			s.note(a.inc, p.reason)
		}
		l.term(s, a.inc)
	case doHealth:
		kind := control.EventWorkerHealthy
		if s.cur.health.bad {
			kind = control.EventWorkerUnhealthy
		}
		l.report(s, a.inc, kind, a.why)
	case doCure:
		s.pool.curing = append(s.pool.curing, s)
	case doKill:
		l.report(s, a.inc, control.EventWorkerKilled, a.why)
		s.note(a.inc, a.why)
		l.signal(s, a.inc, sigKill)
	case doTimer:
		l.after(s, a)
	case doReport:
		l.report(s, a.inc, control.EventWorkerTrouble, a.why)
	case doGiveUp:
		l.report(s, a.inc, control.EventWorkerDead, a.why)
	}
}

// after posts a timer's input. An outdated timer names an incarnation that has
// gone, and changes nothing.
func (l *loop) after(s *slot, a action) {
	in := input{kind: a.timer, inc: a.inc}
	post, r := l.post, s.processes[a.inc]
	t := time.AfterFunc(a.after, func() {
		post(func(l *loop) {
			if r != nil && a.timer == hReadyTimeout && l.unasked(s, r, time.Now()) {
				r.extended = time.Now().Add(tickEvery)
			}
			if r != nil && (a.timer == hReadyTimeout || a.timer == hDrainTimeout) && time.Now().Before(r.extended) {
				a.after = time.Until(r.extended)
				l.after(s, a)
				return
			}
			if a.timer == hReadyTimeout && r != nil && r.unsure {
				l.becameReady(s, a.inc)
			} else if a.timer == hReadyTimeout {
				s.noteDeaf(a.inc)
				s.noteUnready(a.inc)
			}
			l.step(s, in)
		})
	})
	if r != nil {
		r.timers = append(r.timers, t)
	}
}

// report keeps an event about a worker.
func (l *loop) report(s *slot, inc uint64, kind control.EventKind, text string) {
	e := control.Event{Kind: kind, Worker: s.id(), Text: fmt.Sprintf("worker %s %s", s.id(), text)}
	if r := s.processes[inc]; r != nil {
		e.PID = r.pid()
	}
	l.tell(e)
}

// tell keeps an event and shows it on the console.
func (l *loop) tell(e control.Event) {
	e.Time = time.Now()
	l.changed = true
	l.putOffTrim()
	l.news.add(func(c control.Cursor) control.Event { e.Cursor = c; return e })
	if e.User != "" {
		l.cfg.Console(e.Text + ", by " + quoted(e.User))
		return
	}
	l.cfg.Console(e.Text)
}

// greet says once that every pool is as it was asked to be.
func (l *loop) greet() {
	if l.greeted || l.stopping {
		return
	}
	well, settled := true, true
	for _, p := range l.pools {
		well = well && p.adoption == nil && p.status().Short() == 0
		settled = settled && p.settled()
	}
	if well {
		l.greeted = true
		l.manager.status = l.readiness()
		l.tell(control.Event{Kind: control.EventClusterReady, Text: l.manager.status})
		l.tellManager("READY=1\nSTATUS=" + l.manager.status)
	}
	if settled && l.cfg.Settled != nil {
		l.con.flush()
		if err := l.cfg.Settled(); err != nil {
			l.tell(control.Event{Kind: control.EventClusterTrouble, Text: err.Error()})
		}
		l.cfg.Settled = nil
	}
}

// end ends the loop when the cluster was stopped and nothing is left of it.
func (l *loop) end() {
	if !l.stopping {
		return
	}
	for _, p := range l.pools {
		if !p.idle() {
			return
		}
	}
	if l.endsLeft() || len(l.errands) > 0 {
		return
	}
	for _, j := range l.running() {
		l.finish(j, control.JobCancelled, "the cluster has stopped")
	}
	l.ended = true
	l.depart()
}

func (l *loop) appsIdle() bool {
	for _, p := range l.pools {
		if !p.spec.BuiltIn && !p.idle() {
			return false
		}
	}
	return true
}

// admin is the address of the admin port as bound; empty without a shell.
func (l *loop) admin() string {
	p, err := l.pool(l.cfg.Spec.Admin)
	if err != nil {
		return ""
	}
	for _, o := range p.listeners(p.coming()) {
		if o != nil {
			return strings.TrimPrefix(o.group.Addr(), "tcp://")
		}
	}
	return ""
}

func (l *loop) pool(name string) (*pool, error) {
	for _, p := range l.pools {
		if p.spec.Name == name {
			return p, nil
		}
	}
	return nil, &control.Error{Code: control.ErrNoPool.Code, Message: fmt.Sprintf("no pool %q", name), Hint: control.ErrNoPool.Hint}
}

func (l *loop) slot(id string) (*slot, error) {
	for _, s := range l.slots() {
		if s.id() == id && s.visible() {
			return s, nil
		}
	}
	return nil, &control.Error{Code: control.ErrNoWorker.Code, Message: fmt.Sprintf("no worker %q", id), Hint: control.ErrNoWorker.Hint}
}
