package primary

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

// event is something for the loop to take in: it runs on the loop's goroutine.
type event func(*loop)

// loop owns all state of the cluster. One goroutine runs it; everybody else
// posts events to it and gets immutable values back.
type loop struct {
	cfg   Config
	post  func(event) bool // false once the loop has ended
	spawn *spawner
	log   *journal[control.LogLine]
	news  *journal[control.Event]
	calls *calls
	con   *console

	pools    []*pool
	counter  *counter
	before   uint64 // the last incarnation of earlier primaries
	bootID   string
	saver    *saver
	changed  bool // since the record was written
	saving   bool // a write of the record is due
	healing  healing
	adopted  []adoptee
	im       *image // what the image before this one left; nil after a start
	jobs     []*job // in the order in which they began
	lastJob  int
	since    time.Time
	began    time.Duration // the same by the clock that nobody sets
	looked   time.Time     // when checkBeats looked last
	stopping bool
	awaited  bool // somebody asked for the stop who may want to follow it
	ended    bool
	fatal    error // why it ended, when it could not begin
	greeted  bool  // the line that all is ready has been printed
	rest     rest
}

// run takes in events until the cluster has stopped.
func (l *loop) run(events <-chan event) {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	defer l.rest.end()
	l.stir()
	l.looked = time.Now()
	l.reconcile()
	for !l.ended {
		select {
		case e := <-events:
			e(l)
		case <-tick.C:
			l.checkBeats(time.Now())
			l.heal(time.Now())
		}
		l.reconcile()
	}
}

// tickEvery is how often the loop looks who is silent.
const tickEvery = time.Second

// reconcile is level-triggered: after every event it compares what is with
// what should be, whatever the event was.
func (l *loop) reconcile() {
	for _, p := range l.pools {
		if p.gathering != nil {
			l.gather(p)
		}
		if p.gathering != nil {
			continue
		}
		l.reconcilePool(p)
	}
	for _, j := range l.running() {
		if !l.gathers(j) {
			j.work.advance(l, j)
		}
	}
	for _, p := range l.pools {
		p.dropUnused()
		p.steer(l)
	}
	l.greet()
	l.end()
	l.save()
}

// gathers tells whether a pool of the job is still being taken over.
func (l *loop) gathers(j *job) bool {
	for _, p := range l.pools {
		if p.gathering != nil && (p.job == j || j.Kind == "stop") {
			return true
		}
	}
	return false
}

// reconcilePool gives each slot the wish that the pool's target means.
func (l *loop) reconcilePool(p *pool) {
	for len(p.seats) < p.target {
		p.seats = append(p.seats, newSeat(p, len(p.seats)))
	}
	over := l.stopping && (!p.spec.BuiltIn || l.appsIdle())
	for i, s := range p.seats {
		w := s.want
		switch {
		case over:
			w = wantNone
		case i >= p.target:
			w = wantNone
		case w == wantNone:
			w = wantRun
		}
		if w != s.want || s.vacant() {
			l.step(s, input{kind: hWant, want: w})
		}
		if over && s.lasts() { // nobody stays for the sake of his sessions
			l.step(s, input{kind: hEndAll})
		}
	}
}

// step lets something happen to a slot and does what follows from it.
func (l *loop) step(s *seat, in input) {
	in.now, in.rnd, in.fresh = time.Now(), rand.Float64(), l.counter.next()
	in.closed = s.pool.gathering != nil
	var todo []action
	s.slot, todo = step(s.slot, s.pool.policy, in)
	for _, a := range todo {
		l.do(s, a)
	}
}

// do carries out one action.
func (l *loop) do(s *seat, a action) {
	switch a.kind {
	case doSpawn:
		if err := l.counter.take(); err != nil {
			l.tell(control.Event{Kind: "cluster.trouble", Text: err.Error()})
		}
		l.start(s, a.inc, a.gen)
	case doDrain:
		l.drain(s, a)
		l.rebequeath(s, a.inc)
	case doTerm:
		s.signal(a.inc, sigTerm)
	case doKill:
		l.report(s, a.inc, "worker.killed", a.why)
		s.note(a.inc, a.why)
		s.signal(a.inc, sigKill)
	case doTimer:
		l.after(s, a)
	case doReport:
		l.report(s, a.inc, "worker.trouble", a.why)
	}
}

// after posts what a timer means. A timer that is out of date names an
// incarnation that has gone, and changes nothing.
func (l *loop) after(s *seat, a action) {
	in := input{kind: a.timer, inc: a.inc}
	post := l.post
	t := time.AfterFunc(a.after, func() {
		post(func(l *loop) { l.step(s, in) })
	})
	if r := s.runs[a.inc]; r != nil {
		r.timers = append(r.timers, t)
	}
}

// lastMoment is what lasting sessions have from the end of the cluster to their
// own: enough for the answer to the stop.
const lastMoment = 100 * time.Millisecond

// drain asks a worker to finish. One that holds no conversation is told by TERM,
// but one that an earlier primary has left, and that is looking for this one, by
// the answer to its hello: it might have had a TERM of that one, and cuts at the
// second.
func (l *loop) drain(s *seat, a action) {
	r := s.runs[a.inc]
	if r == nil {
		return
	}
	if r.conv == nil && r.peer == 0 && !l.stopping {
		return
	}
	d := l.drainOf(s, r, a)
	if r.cut = time.Now().Add(d.Deadline); d.Deadline == 0 {
		r.cut = time.Time{}
	}
	m := outgoing{kind: ipc.TypeDrain, body: d}
	if !d.Final {
		l.bequeath(s, r, &m)
	}
	if r.conv == nil || !r.conv.pass(m) {
		m.release()
		s.signal(a.inc, sigTerm)
	}
}

func (l *loop) drainOf(s *seat, r *run, a action) ipc.Drain {
	d := ipc.Drain{Linger: (a.linger || s.pool.leaves(r)) && !l.stopping, LameDuck: s.pool.spec.LameDuck, Final: a.final || l.stopping}
	switch {
	case s.pool.spec.MaxOutgoing == 0:
		d.Deadline = s.pool.spec.LameDuck + s.pool.spec.DrainTimeout
	case d.Final:
		d.Deadline = lastMoment
	}
	return d
}

// report tells of a worker in the cluster's events.
func (l *loop) report(s *seat, inc uint64, kind, text string) {
	e := control.Event{Kind: kind, Worker: s.id(), Text: fmt.Sprintf("worker %s %s", s.id(), text)}
	if r := s.runs[inc]; r != nil {
		e.PID = r.pid()
	}
	l.tell(e)
}

// tell keeps an event and shows it on the console.
func (l *loop) tell(e control.Event) {
	e.Time = time.Now()
	l.changed = true
	l.stir()
	l.news.add(func(c control.Cursor) control.Event { e.Cursor = c; return e })
	if e.User != "" {
		l.cfg.Console(e.Text + ", by " + quoted(e.User))
		return
	}
	l.cfg.Console(e.Text)
}

// greet says once that every pool is as it was asked to be, by the rule of
// status: a worker that is stopped or done is as it should be.
func (l *loop) greet() {
	if l.greeted || l.stopping {
		return
	}
	ready, total, stopped := 0, 0, 0
	for _, p := range l.pools {
		if p.gathering != nil || p.ready()+p.ended() < p.target {
			return
		}
		if !p.spec.BuiltIn {
			ready, total, stopped = ready+p.ready(), total+p.target, stopped+p.count(control.Stopped)
		}
	}
	l.greeted = true
	text := fmt.Sprintf("%d of %d workers ready", ready, total)
	if stopped > 0 {
		text += fmt.Sprintf(", %d stopped", stopped)
	}
	l.tell(control.Event{Kind: "cluster.ready", Text: text})
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
	for _, j := range l.running() {
		l.finish(j, control.JobCancelled, "the cluster has stopped")
	}
	l.ended = true
	l.depart()
}

// appsIdle tells whether nothing of the application runs any more.
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
	if err != nil || len(p.groups) == 0 {
		return ""
	}
	return strings.TrimPrefix(p.groups[0].Addr(), "tcp://")
}

func (l *loop) pool(name string) (*pool, error) {
	for _, p := range l.pools {
		if p.spec.Name == name {
			return p, nil
		}
	}
	return nil, &control.Error{Code: control.ErrNoPool.Code, Message: fmt.Sprintf("no pool %q", name), Hint: control.ErrNoPool.Hint}
}

// seat finds a slot by the worker's id.
func (l *loop) seat(id string) (*seat, error) {
	for _, p := range l.pools {
		for _, s := range p.seats {
			if s.id() == id && s.visible() {
				return s, nil
			}
		}
	}
	return nil, &control.Error{Code: control.ErrNoWorker.Code, Message: fmt.Sprintf("no worker %q", id), Hint: control.ErrNoWorker.Hint}
}
