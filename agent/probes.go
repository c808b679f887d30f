package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/durable"
)

// ProbesLock is the file in the state directory whose lock the agent has that asks:
// two would count a failure twice.
const ProbesLock = "probes.lock"

// Bounds of asking processes how they are.
const (
	lookEvery   = 5 * time.Second       // at the latest, which processes there are
	lookPause   = 50 * time.Millisecond // at the earliest
	programsAll = 8                     // programs of probes at the same time
	repeatAfter = 2 * time.Second       // that a process is still not ready
	late        = time.Second           // beyond its timeout: then this process, or the machine, stood still
	longest     = 200                   // bytes of why a probe failed
)

// probes asks processes how they are and tells the primary, which decides. Each has a
// goroutine of its own, so that one that hangs holds up no other.
type probes struct {
	control  control.Control
	counted  counted
	client   *http.Client
	programs chan struct{} // a place for each that may run
	asked    map[subject]*asking
	asking   sync.WaitGroup
}

func newProbes(c control.Control, counted counted) *probes {
	return &probes{
		control: c, counted: counted, programs: make(chan struct{}, programsAll), asked: make(map[subject]*asking),
		client: &http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// subject is a process, and what it is asked.
type subject struct {
	inc  uint64
	live bool // else whether it is ready
}

// asking is what is known of a subject.
type asking struct {
	subject
	id      string // of its worker
	pool    control.PoolSpec
	probe   *control.Probe
	at      atomic.Pointer[place]
	passing atomic.Bool // the primary knows it
	stop    context.CancelFunc

	said   string // to the primary, last
	saidAt time.Time
}

// place is where a process is found.
type place struct {
	pid     int
	private string
}

// run asks until ctx ends.
func (p *probes) run(ctx context.Context, file string) {
	lock, err := durable.Acquire(ctx, file) // the agent before this one may still be asking
	if err != nil {
		if ctx.Err() == nil {
			warn("no probe is made: %v", err)
		}
		return
	}
	defer lock.Release()
	defer p.asking.Wait()
	news := make(chan struct{}, 1)
	p.asking.Go(func() {
		_ = events.follow(ctx, p.control, control.Cursor{}, func(control.Event) error { // it ends with ctx
			select {
			case news <- struct{}{}:
			default: // it will look
			}
			return nil
		})
	})
	for ctx.Err() == nil {
		p.look(ctx)
		select {
		case <-news:
			sleep(ctx, lookPause)
		case <-time.After(lookEvery):
		case <-ctx.Done():
		}
	}
}

// look begins to probe processes that have come, and stops with those that have gone.
func (p *probes) look(ctx context.Context) {
	todo, err := p.subjects(ctx)
	if err != nil {
		return // those that are asked will still be there
	}
	for s, a := range p.asked {
		if todo[s] == nil {
			a.stop()
			delete(p.asked, s)
		}
	}
	for s, a := range todo {
		if old := p.asked[s]; old != nil {
			if reflect.DeepEqual(old.probe, a.probe) {
				old.at.Store(a.at.Load())
				old.passing.Store(a.passing.Load())
				continue
			}
			old.stop()
		}
		ctx, stop := context.WithCancel(ctx)
		a.stop = stop
		p.asked[s] = a
		p.asking.Go(func() { p.keepAsking(ctx, a) })
	}
}

func (p *probes) subjects(ctx context.Context) (map[subject]*asking, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	spec, err := control.Get(ctx, p.control, control.SpecQuery{})
	if err != nil {
		return nil, err
	}
	pools := make(map[string]control.PoolSpec)
	for _, s := range spec.Pools {
		if s.ReadyProbe != nil || s.Live != nil {
			pools[s.Name] = s
		}
	}
	if len(pools) == 0 {
		return nil, nil
	}
	workers, err := control.Get(ctx, p.control, control.WorkersQuery{})
	all := make(map[subject]*asking)
	for _, w := range workers {
		if pool, ok := pools[w.Pool]; ok {
			addSubjects(all, pool, w)
		}
	}
	return all, err
}

// addSubjects adds the processes of a slot that are asked: those that start whether
// they are ready, and the one that serves whether it works. At an address that is not
// its own a second process may answer.
func addSubjects(all map[subject]*asking, pool control.PoolSpec, w control.WorkerInfo) {
	add := func(probe *control.Probe, live bool, inc uint64, at place) {
		a := &asking{subject: subject{inc, live}, id: w.ID, pool: pool, probe: probe}
		a.at.Store(&at)
		a.passing.Store(w.Health == control.Passing)
		all[a.subject] = a
	}
	if w.State == control.Starting && pool.ReadyProbe != nil {
		add(pool.ReadyProbe, false, w.Incarnation, place{w.PID, w.Private})
	}
	if n := w.Successor; n != nil && n.State == control.Starting && pool.ReadyProbe != nil {
		add(pool.ReadyProbe, false, n.Incarnation, place{n.PID, n.Private})
	}
	if w.State == control.Ready && pool.Live != nil && (pool.Live.Own() || w.Successor == nil && len(w.Outgoing) == 0) {
		add(pool.Live, true, w.Incarnation, place{w.PID, w.Private})
	}
}

// keepAsking begins at another time for each process.
func (p *probes) keepAsking(ctx context.Context, a *asking) {
	if a.live {
		sleep(ctx, rand.N(a.probe.Every))
	}
	for ctx.Err() == nil {
		err := p.ask(ctx, a)
		if ctx.Err() == nil {
			p.tell(ctx, a, err)
		}
		sleep(ctx, a.probe.Every)
	}
}

// errLate is of an answer that counts for nothing.
var errLate = errors.New("too late to tell")

// tell tells the primary what it does not know: that a process fails, or passes after
// that or for the first time.
func (p *probes) tell(ctx context.Context, a *asking, err error) {
	outcome, why := "passed", ""
	switch {
	case errors.Is(err, errLate):
		outcome = "void"
	case err != nil:
		outcome, why = "failed", err.Error()
		why = why[:min(len(why), longest)]
	}
	p.counted.probes.WithLabelValues(a.pool.Name, a.kind(), outcome).Inc()
	known := a.live && why == "" && a.passing.Load() || !a.live && why != "" && why == a.said && time.Since(a.saidAt) < repeatAfter
	if outcome == "void" || known {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	_, err = p.control.Do(ctx, control.ProbedRequest{ID: a.id, Incarnation: a.inc, Live: a.live, Failure: why}, nil)
	if err == nil { // else it is told again, or the process has gone
		a.passing.Store(why == "")
		a.said, a.saidAt = why, time.Now()
	}
}

func (s subject) kind() string {
	if s.live {
		return "live"
	}
	return "ready"
}
