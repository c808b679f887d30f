package primary

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
)

// probed is a loop with four slots whose workers are asked.
func probed(t *testing.T) (l *loop, p *pool) {
	l, slots, _ := programs(t)
	p = slots[0].pool
	for i := 2; i < 4; i++ {
		s, inc := newSlot(p, i), uint64(i+1)
		s.slotState = slots[0].slotState
		s.cur.inc = inc
		s.processes[inc] = &process{inc: inc, gen: 1, handle: slots[0].processes[1].handle, since: time.Now(), dropped: make(chan struct{})}
		p.slots = append(p.slots, s)
	}
	p.target = 4
	p.spec.Live, p.spec.BackoffMax, p.spec.MaxRestarts, p.spec.Within = &control.Probe{Fail: 1}, 30*time.Second, 5, time.Minute
	return l, p
}

// say tells what a probe of the worker of a slot found.
func (p *pool) say(t *testing.T, l *loop, slot int, failure string) {
	t.Helper()
	s := p.slots[slot]
	must(t, l.found(control.ProbedRequest{ID: s.id(), Incarnation: s.cur.inc, Live: true, Failure: failure}))
}

// replaced is what the job that has the pool replaces, which is then over.
func (p *pool) replaced() (what string) {
	if p.job != nil {
		what, p.job = p.job.What, nil
	}
	return what
}

// TestCureOneByOne: the unhealthy workers of a pool are replaced by one job, while
// another one passes.
func TestCureOneByOne(t *testing.T) {
	l, p := probed(t)
	now := time.Now()
	p.say(t, l, 0, "")
	l.cure(now)
	if what := p.replaced(); what != "" {
		t.Fatalf("%s is replaced, and none is unhealthy", what)
	}
	p.say(t, l, 1, "503")
	p.say(t, l, 3, "503")
	other := &job{}
	p.job = other
	if l.cure(now); p.job != other {
		t.Fatal("while another job has the pool")
	}
	p.job = nil
	l.cure(now)
	if what := p.replaced(); what != "web/1 web/3" {
		t.Errorf("replaced: %q", what)
	}
	if why := p.slots[1].processes[2].reason; why != "503 (once in a row)" {
		t.Errorf("the reason is %q", why)
	}
	// Their successors have failed: that is not tried again at once, nor is it said if
	// they end of something else.
	l.cure(now.Add(time.Second))
	if what := p.replaced(); what != "" || p.slots[1].processes[2].reason != "" {
		t.Errorf("at once: %q, reason %q", what, p.slots[1].processes[2].reason)
	}
	p.say(t, l, 3, "")
	l.cure(now.Add(time.Minute))
	if what := p.replaced(); what != "web/1" {
		t.Errorf("later: %q", what)
	}
}

// TestCureStorm: when no worker passes, one is replaced at a time, and the next when
// its successor has been asked and a while has passed.
func TestCureStorm(t *testing.T) {
	l, p := probed(t)
	now := time.Now()
	for i := range p.slots {
		p.say(t, l, i, "no database")
	}
	l.cure(now)
	if what := p.replaced(); what != "web/0" {
		t.Fatalf("first: %q", what)
	}
	successor := p.slots[0].processes[1]
	p.slots[0].cur = processState{inc: 9, gen: 1, ready: true}
	p.slots[0].processes[9] = successor
	steps := []struct {
		after time.Duration
		say   string // of the successor
		want  string
	}{
		{after: time.Second},
		{after: time.Minute}, // it has not been asked
		{after: time.Minute, say: "no database", want: "web/0"},
		{after: time.Minute + time.Second},
	}
	for _, step := range steps {
		if step.say != "" {
			p.say(t, l, 0, step.say)
		}
		l.cure(now.Add(step.after))
		if what := p.replaced(); what != step.want {
			t.Errorf("after %v: %q, want %q", step.after, what, step.want)
		}
	}
	p.say(t, l, 2, "") // the database is back
	l.cure(now.Add(time.Minute + 2*time.Second))
	if what := p.replaced(); what != "web/1 web/3" {
		t.Errorf("when one passes: %q", what)
	}
	for _, s := range p.slots {
		if s.hold == control.Dead {
			t.Errorf("%s was given up", s.id())
		}
	}
}

// TestFound: a probe makes a process ready, and does not speak of one that has gone.
func TestFound(t *testing.T) {
	l, p := probed(t)
	s := p.slots[0]
	s.cur.ready, p.spec.Protocol = false, control.ProtocolProbe
	ready := control.ProbedRequest{ID: s.id(), Incarnation: 1, Failure: "GET /: connection refused"}
	must(t, l.found(ready))
	if i := s.info(time.Now()); i.State != control.Starting || i.Failure != ready.Failure {
		t.Errorf("it is %s: %s", i.State, i.Failure)
	}
	s.noteUnready(1)
	if diff := cmp.Diff("not ready in time: GET /: connection refused", s.processes[1].reason); diff != "" {
		t.Error(diff)
	}
	ready.Failure = ""
	must(t, l.found(ready))
	if i := s.info(time.Now()); i.State != control.Ready || i.Failure != "" {
		t.Errorf("it is %s: %s", i.State, i.Failure)
	}
	ready.Incarnation = 99
	if err := l.found(ready); !errors.Is(err, control.ErrConflict) {
		t.Errorf("of another process: %v", err)
	}
	ready.ID = "web/77"
	if err := l.found(ready); !errors.Is(err, control.ErrNoWorker) {
		t.Errorf("of no worker: %v", err)
	}
}

// TestUnasked: a process is not late while nobody asks it.
func TestUnasked(t *testing.T) {
	l, p := probed(t)
	l.cfg.Spec.Agent = "agent"
	agent := &pool{spec: control.PoolSpec{Name: "agent"}}
	a := newSlot(agent, 0)
	agent.slots = []*slot{a}
	l.pools = append(l.pools, agent)
	s, r, now := p.slots[0], p.slots[0].processes[1], time.Now()
	if l.unasked(s, r, now) {
		t.Error("it is of another protocol")
	}
	p.spec.Protocol = control.ProtocolProbe
	if !l.unasked(s, r, now) {
		t.Error("there is no agent")
	}
	a.cur, a.processes[7] = processState{inc: 7, ready: true, readyAt: now}, &process{inc: 7}
	if !l.unasked(s, r, now.Add(time.Second)) {
		t.Error("the agent has just begun")
	}
	if l.unasked(s, r, now.Add(time.Minute)) {
		t.Error("the agent serves")
	}
	a.processes[7].silent = true
	if !l.unasked(s, r, now.Add(time.Minute)) {
		t.Error("the agent hangs")
	}
	r.probed = now.Add(time.Minute)
	if l.unasked(s, r, now.Add(time.Minute)) {
		t.Error("it was asked a moment ago")
	}
}
