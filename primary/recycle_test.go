package primary

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/proc"
)

func TestLifetime(t *testing.T) {
	lives := make(map[time.Duration]bool)
	if n := lifetime[int64](5, 3); n != 5 {
		t.Errorf("5 requests are %d", n)
	}
	for inc := range uint64(100) {
		d := lifetime(10*time.Hour, inc)
		if lives[d] = true; d > 10*time.Hour || d <= 9*time.Hour {
			t.Errorf("incarnation %d lives for %v", inc, d)
		}
	}
	if len(lives) != 100 {
		t.Errorf("%d lifetimes of 100 processes", len(lives))
	}
}

// TestRecycle: an old worker gets a successor, one at a time and the oldest first,
// unless a job has the pool.
func TestRecycle(t *testing.T) {
	l, slots, _ := programs(t)
	p, now := slots[0].pool, time.Now()
	p.target = 2
	slots[0].cur.since = now.Add(-time.Hour)
	slots[1].cur.since = now.Add(-time.Hour - time.Second)
	if l.recycle(now); p.job != nil {
		t.Fatal("without max_age")
	}
	p.spec.MaxAge = 2 * time.Hour
	if l.recycle(now); p.job != nil {
		t.Fatal("before its time")
	}
	p.spec.MaxAge = time.Hour
	l.recycle(now)
	first := p.job
	if first == nil || first.What != "web/1" || slots[1].processes[2].reason != "older than 1h0m0s" {
		t.Fatalf("job %+v", first)
	}
	if l.recycle(now.Add(time.Hour)); p.job != first {
		t.Error("while another job has the pool")
	}
	p.job = nil
	if l.recycle(now.Add(time.Second)); p.job == nil || p.job.What != "web/0" {
		t.Errorf("after a failure: %+v", p.job)
	}
}

// TestWorn: what a worker is replaced for.
func TestWorn(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		spec  control.PoolSpec
		run   process
		age   time.Duration
		limit string
		why   string
	}{
		"no limit":       {run: process{beat: ipc.Beat{Requests: 1 << 40}, memory: 1 << 40, heavy: now.Add(-time.Hour)}, age: 1e6 * time.Hour},
		"young":          {spec: control.PoolSpec{MaxAge: time.Hour}, age: time.Minute},
		"old":            {spec: control.PoolSpec{MaxAge: time.Hour}, age: time.Hour, limit: "max_age", why: "older than 1h0m0s"},
		"few requests":   {spec: control.PoolSpec{MaxRequests: 100}, run: process{beat: ipc.Beat{Requests: 90}}},
		"all requests":   {spec: control.PoolSpec{MaxRequests: 100}, run: process{beat: ipc.Beat{Requests: 117}}, limit: "max_requests", why: "117 requests of at most 100"},
		"light":          {spec: control.PoolSpec{MaxMemory: 512 << 20, MaxMemoryFor: time.Minute}, run: process{memory: 500 << 20}},
		"heavy of late":  {spec: control.PoolSpec{MaxMemory: 512 << 20, MaxMemoryFor: time.Minute}, run: process{memory: 600 << 20, heavy: now.Add(-59 * time.Second)}},
		"heavy for long": {spec: control.PoolSpec{MaxMemory: 512 << 20, MaxMemoryFor: time.Minute}, run: process{memory: 600 << 20, heavy: now.Add(-time.Minute)}, limit: "max_memory", why: "600 MiB of memory, more than 512 MiB for 1m0s"},
	} {
		_, s := bare()
		s.pool.spec, test.run.inc = test.spec, 1
		s.slotState = slotState{want: wantRun, cur: processState{inc: 1, ready: true, since: now.Add(-test.age)}}
		s.processes[1] = &test.run
		if limit, why := s.worn(now); limit != test.limit || why != test.why {
			t.Errorf("%s: %q, %q", name, limit, why)
		}
		s.cur.ending = told
		if limit, _ := s.worn(now); limit != "" {
			t.Errorf("%s: replaced again, for %s", name, limit)
		}
	}
}

// scripted is a starter whose processes have as much memory as a test says.
type scripted struct {
	Starter
	memory int64
	err    error
	asked  int
	takes  time.Duration
}

func (s *scripted) Memory(families []proc.Family) ([]int64, error) {
	time.Sleep(s.takes)
	s.asked++
	var all []int64
	for range families {
		all = append(all, s.memory)
	}
	return all, s.err
}

// TestWeigh: a worker that has too much memory for the whole time is replaced; one
// that had it for a moment is not, and what takes long is done seldom.
func TestWeigh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, slots, events := programs(t)
		p := slots[0].pool
		p.target, p.slots = 1, slots[:1]
		l.spawn = &spawner{}
		sc := &scripted{memory: 100 << 20}
		l.cfg.Starter = sc
		during := func(d time.Duration) {
			for range d / tickEvery {
				l.pass(tickEvery, events)
				l.weigh(time.Now())
				l.pass(0, events)
				l.recycle(time.Now())
			}
		}
		if during(time.Minute); sc.asked != 0 {
			t.Fatalf("measured %d times without a limit", sc.asked)
		}
		p.spec.MaxMemory, p.spec.MaxMemoryFor = 64<<20, 30*time.Second
		during(29 * time.Second)
		sc.memory = 64 << 20
		during(5 * time.Second)
		sc.memory = 100 << 20
		if during(29 * time.Second); p.job != nil {
			t.Fatalf("a moment with less does not count: %s", slots[0].processes[1].reason)
		}
		if during(10 * time.Second); p.job == nil || slots[0].processes[1].reason != "100 MiB of memory, more than 64 MiB for 30s" {
			t.Fatalf("not replaced: %+v", slots[0].processes[1])
		}
		if e := l.lastEvent(t); e.Kind != control.EventWorkerLimit || e.Text != "worker web/0 is replaced: 100 MiB of memory, more than 64 MiB for 30s" {
			t.Errorf("event %+v", e)
		}
		p.job = nil
		if during(2 * time.Second); slots[0].processes[1].reason != "" || p.job != nil {
			t.Errorf("its successor failed: %q, %v", slots[0].processes[1].reason, p.job)
		}
		if during(recycleAgain); p.job == nil {
			t.Error("it was not tried again")
		}
		sc.takes, sc.asked = 2*time.Second, 0
		if during(2 * time.Minute); sc.asked > 4 {
			t.Errorf("measured %d times within two minutes, 2 s each", sc.asked)
		}
		sc.takes, sc.err = 0, errors.New("no such file")
		during(2 * time.Minute)
		if e := l.lastEvent(t); e.Text != "max_memory: no such file" {
			t.Errorf("event %+v", e)
		}
	})
}

// TestBloated: one that has too much memory from its start is replaced once; if its
// successor is like it, that is told once, until one of another generation comes.
func TestBloated(t *testing.T) {
	l, slots, _ := programs(t)
	s, now := slots[0], time.Now()
	p := s.pool
	p.target, p.slots = 1, slots[:1]
	p.spec.MaxMemory, p.spec.MaxMemoryFor = 64<<20, 30*time.Second
	weigh := func(r *process) {
		r.weighed(100<<20, p.spec.MaxMemory, now)
		now = now.Add(time.Minute)
		l.recycle(now)
	}
	weigh(s.processes[1])
	if p.job == nil {
		t.Fatal("the first is not replaced")
	}
	next := func(inc uint64, gen int) *process {
		r := &process{inc: inc, gen: gen, since: now.Add(time.Second), handle: s.processes[1].handle}
		p.job, s.processes[inc], s.cur.inc, s.cur.gen = nil, r, inc, gen
		return r
	}
	r := next(3, 1)
	for range 5 {
		weigh(r)
	}
	told := 0
	all, _, _ := l.news.read(1)
	for _, e := range all {
		if e.Kind == control.EventWorkerTrouble {
			told++
		}
	}
	if p.job != nil || told != 1 {
		t.Errorf("its successor is replaced: %t, told %d times", p.job != nil, told)
	}
	if weigh(next(4, 2)); p.job == nil {
		t.Error("one of another generation is not replaced")
	}
	r = next(5, 2)
	r.weighed(1, p.spec.MaxMemory, now)
	if weigh(r); p.job == nil {
		t.Error("one that has grown is not replaced")
	}
}

func (l *loop) lastEvent(t *testing.T) control.Event {
	t.Helper()
	all, _, _ := l.news.read(1)
	if len(all) == 0 {
		t.Fatal("no event")
	}
	return all[len(all)-1]
}
