package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/norestart/norestart/internal/harness"
)

// clients is how many there are at once.
const clients = 32

// httpClient is what each of them is. After five seconds it gives up, and counts a
// failure.
func httpClient(addr string, keep bool) harness.Client {
	return harness.Client{Address: addr, Keep: keep, Timeout: 5 * time.Second}
}

type load struct {
	*harness.Running
	took  map[int32][]float64 // seconds of each answered request, by phase
	phase atomic.Int32
}

type outcome struct {
	harness.Result
	took map[int32][]float64
}

// startLoad starts the clients; with a rate of 0 requests a second they ask as
// fast as they can. Otherwise they look, as net/http's client does, whether the
// server has closed a kept connection meanwhile.
func startLoad(ctx context.Context, addr string, keep bool, rate int) *load {
	l := &load{took: make(map[int32][]float64)}
	c := httpClient(addr, keep)
	c.Look = rate > 0
	l.Running = harness.Load{
		Client: c, Clients: clients, Rate: rate, Phase: &l.phase,
		Seen: func(s harness.Sample) {
			if s.Err == nil {
				l.took[s.Phase] = append(l.took[s.Phase], s.Ended.Sub(s.Due).Seconds())
			}
		},
	}.Start(ctx)
	return l
}

func (l *load) stop() outcome { return outcome{l.Stop(), l.took} }

func (o outcome) all() (all []float64) {
	for _, took := range o.took {
		all = append(all, took...)
	}
	return all
}
