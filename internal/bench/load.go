package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// clients is how many there are at once.
const clients = 32

// load is what the clients do: each waits for an answer before it sends the
// next request.
type load struct {
	addr string
	keep bool // one connection a client, else one a request
	rate int  // requests per second of all together; 0: as fast as they come

	asked *atomic.Int64 // counts, where somebody wants to know meanwhile
}

// outcome is what the clients saw.
type outcome struct {
	asked    int
	dials    int
	failures map[string]int      // by their text
	took     map[int32][]float64 // seconds of each answered request, by phase
}

func (o *outcome) failed() int {
	n := 0
	for _, count := range o.failures {
		n += count
	}
	return n
}

// run sends requests until ctx ends. phase is read when a request begins and
// when it ends: it counts for the higher one, so that no request that a reload
// touched counts as a steady one. See [measureReloads] for the numbers.
func (l load) run(ctx context.Context, phase *atomic.Int32) outcome {
	total := outcome{failures: make(map[string]int), took: make(map[int32][]float64)}
	var mu sync.Mutex // protects total
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			one := l.client(ctx, i, phase)
			mu.Lock()
			defer mu.Unlock()
			total.merge(one)
		})
	}
	wg.Wait()
	return total
}

func (o *outcome) merge(other outcome) {
	o.asked += other.asked
	o.dials += other.dials
	for text, n := range other.failures {
		o.failures[text] += n
	}
	for phase, took := range other.took {
		o.took[phase] = append(o.took[phase], took...)
	}
}

// client is what the client number i sees.
func (l load) client(ctx context.Context, i int, phase *atomic.Int32) outcome {
	o := outcome{failures: make(map[string]int), took: make(map[int32][]float64)}
	c := &client{addr: l.addr, keep: l.keep, look: l.rate > 0}
	defer c.close()
	p := l.pace(i)
	defer p.stop()
	for {
		begin, ok := p.next(ctx)
		if !ok {
			break
		}
		was := phase.Load()
		_, err := c.get()
		took := time.Since(begin)
		o.asked++
		if l.asked != nil {
			l.asked.Add(1)
		}
		if err != nil {
			o.failures[err.Error()]++
			continue
		}
		is := later(was, phase.Load())
		o.took[is] = append(o.took[is], took.Seconds())
	}
	o.dials = c.dials
	return o
}

// later prefers the phase of a reload, an odd number.
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

// pace spreads the clients evenly over the time between two requests.
func (l load) pace(i int) *pacer {
	p := &pacer{timer: time.NewTimer(0)}
	if l.rate > 0 {
		p.every = clients * time.Second / time.Duration(l.rate)
		p.due = time.Now().Add(p.every * time.Duration(i) / clients)
	}
	return p
}

func (p *pacer) stop() { p.timer.Stop() }

// next waits for the next request and returns since when it has to be counted:
// since it was due, if the answer to the last one came too late for that (the
// delay is the server's), else from now (that a timer is late is not).
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
