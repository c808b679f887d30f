package harness

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Load is what several clients do at once: each waits for an answer before it
// sends the next request.
type Load struct {
	Client                                          // as each of them is
	Clients int                                     // at least 1
	Streams int                                     // of them share a connection of HTTP/2; 0: HTTP/1.1, a connection each
	Secured bool                                    // HTTP/2 within TLS
	Rate    int                                     // requests a second of all clients together; 0: as fast as they are answered
	Count   int                                     // requests in all; 0: until it is stopped
	Limit   time.Duration                           // it ends by then; 0: there is none
	Path    func(client, n int) (path, head string) // of the n-th request of a client, counted from 1; nil: "/"
	Seen    func(Sample)                            // is told of each request, of one at a time
	Phase   *atomic.Int32                           // read when a request begins and when it ends, see [Sample]
}

// Result is what came of it.
type Result struct {
	Requests, Failed, Connections int
	Closed                        int      // by the server, or after a failure
	Causes                        []string // of the first failures
}

const keptCauses = 5

// Running is a load that has been started.
type Running struct {
	load   Load
	ctx    context.Context // of its whole life
	cancel context.CancelFunc
	shared []*streams
	wg     sync.WaitGroup

	mu     sync.Mutex // a leaf, but for Seen
	issued int
	result Result
}

// Start starts the clients. They end with ctx, each after the answer to its last
// request.
func (l Load) Start(ctx context.Context) *Running {
	r := &Running{load: l}
	r.ctx, r.cancel = context.WithCancel(ctx)
	if l.Limit > 0 {
		r.ctx, r.cancel = context.WithTimeout(ctx, l.Limit)
	}
	for n := range l.Clients {
		get, end := r.way(n)
		r.wg.Go(func() {
			defer end()
			r.run(n, get)
		})
	}
	return r
}

// way is how a client makes a request; the second function ends what it has open.
func (r *Running) way(n int) (get func(path, head string) Sample, end func()) {
	if r.load.Streams == 0 {
		c := r.load.Client
		return c.Get, c.Close
	}
	if n%r.load.Streams == 0 {
		r.shared = append(r.shared, newStreams(r.load.Address, r.load.Secured))
	}
	s := r.shared[n/r.load.Streams]
	return func(path, _ string) Sample { return s.get(context.WithoutCancel(r.ctx), path, r.load.timeout()) }, func() {}
}

// Wait returns what came of it once all clients have ended.
func (r *Running) Wait() Result {
	r.wg.Wait()
	r.cancel()
	for _, s := range r.shared {
		s.close()
	}
	return r.Now()
}

// Stop lets each client finish its request, and returns what came of it.
func (r *Running) Stop() Result {
	r.cancel()
	return r.Wait()
}

// StopAfter is Stop as soon as n requests have been answered.
func (r *Running) StopAfter(n int) Result {
	_ = Poll(r.ctx, func() bool { return r.Now().Requests >= n }) // else its time is over, which the result tells
	return r.Stop()
}

// Now is what has come of it so far.
func (r *Running) Now() Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.result
}

func (r *Running) run(i int, get func(path, head string) Sample) {
	p := newPacer(r.load, i)
	defer p.timer.Stop()
	for n := 1; r.more(); n++ {
		due, ok := p.next(r.ctx)
		if !ok {
			return
		}
		path, head := "/", ""
		if r.load.Path != nil {
			path, head = r.load.Path(i, n)
		}
		was := r.phase()
		s := get(path, head)
		s.Client, s.Number, s.Due, s.Phase = i, n, due, later(was, r.phase())
		r.note(s)
	}
}

// more takes the next request off the count.
func (r *Running) more() bool {
	if r.load.Count == 0 {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.issued++
	return r.issued <= r.load.Count
}

func (r *Running) note(s Sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	res := &r.result
	res.Requests++
	if s.Fresh {
		res.Connections++
	}
	if s.Closed {
		res.Closed++
	}
	if s.Err != nil {
		res.Failed++
		if len(res.Causes) < keptCauses {
			res.Causes = append(res.Causes, fmt.Sprintf("%v (new connection: %t, its last answer: %q)", s.Err, s.Fresh, s.Before))
		}
	}
	if r.load.Seen != nil {
		r.load.Seen(s)
	}
}

func (r *Running) phase() int32 {
	if r.load.Phase == nil {
		return 0
	}
	return r.load.Phase.Load()
}

// later is the phase that a request counts for: that in which it ended, unless it
// began in an odd one. Odd is the number of a phase in which something was done, so
// that no request that this touched counts as an undisturbed one.
func later(was, is int32) int32 {
	if was%2 == 1 {
		return was
	}
	return is
}

// pacer tells a client when its next request is due.
type pacer struct {
	every time.Duration // 0: at once
	due   time.Time
	timer *time.Timer
}

// newPacer spreads the clients evenly over the time between two requests.
func newPacer(l Load, i int) *pacer {
	p := &pacer{timer: time.NewTimer(0)}
	if l.Rate > 0 {
		p.every = time.Duration(l.Clients) * time.Second / time.Duration(l.Rate)
		p.due = time.Now().Add(p.every * time.Duration(i) / time.Duration(cmp.Or(l.Clients, 1)))
	}
	return p
}

// next waits for the next request and returns since when it counts: since it was
// due, if the answer to the last one came too late for that (the delay is the
// server's), else from now (that a timer is late is not).
func (p *pacer) next(ctx context.Context) (time.Time, bool) {
	if ctx.Err() != nil {
		return time.Time{}, false
	}
	if p.every == 0 {
		return time.Now(), true
	}
	due := p.due
	p.due = due.Add(p.every)
	wait := time.Until(due)
	if wait <= 0 {
		return due, true
	}
	p.timer.Reset(wait)
	select {
	case <-p.timer.C:
		return time.Now(), true
	case <-ctx.Done():
		return time.Time{}, false
	}
}
