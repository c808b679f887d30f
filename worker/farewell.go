package worker

import (
	"context"
	"sync"
)

// farewells are the goodbyes of connections that handlers have taken over.
type farewells struct {
	mu   sync.Mutex // a leaf
	last int
	all  map[int]func(context.Context)
	said int // goodbyes that were called
	over bool
}

// Farewell is for a handler that has taken its connection over (websocket and
// the like): goodbye is called once, in a goroutine of its own, when the worker
// drains, and should tell the client to go; its context ends when the
// connection is cut. The handler calls done when it is finished with the
// connection:
//
//	defer w.Farewell(func(ctx context.Context) { c.Close(websocket.StatusGoingAway, "bye") })()
//
// In a worker that drains already goodbye is called at once.
func (w *Worker) Farewell(goodbye func(ctx context.Context)) (done func()) {
	f := &w.farewells
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	id := f.last
	if f.all == nil {
		f.all = make(map[int]func(context.Context))
	}
	f.all[id] = goodbye
	if f.over {
		w.sayGoodbye(goodbye)
	}
	return func() { w.farewell(id) }
}

func (w *Worker) farewell(id int) {
	f := &w.farewells
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.all, id)
}

// sayGoodbyes tells all who have asked for it, once.
func (w *Worker) sayGoodbyes() {
	f := &w.farewells
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	for _, goodbye := range f.all {
		w.sayGoodbye(goodbye)
	}
}

// sayGoodbye counts it as well; mu is held.
func (w *Worker) sayGoodbye(goodbye func(context.Context)) {
	w.farewells.said++
	w.wg.Go(func() { goodbye(w.hard) })
}

// takeSaid is how many were told to go since it was asked last, and went
// before the time was over.
func (w *Worker) takeSaid() int {
	f := &w.farewells
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.said
	if w.hard.Err() != nil {
		n -= len(f.all)
	}
	f.said = 0
	return max(0, n)
}
