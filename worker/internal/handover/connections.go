package handover

import (
	"context"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/norestart/norestart/internal/ipc"
)

// Connections are all that one worker process has accepted or taken over.
type Connections struct {
	Counts Counts

	cut       context.Context // ends when what is left is cut
	start     func(func())    // starts a goroutine that the process waits for
	listeners map[string]*Listener
	lameDuck  atomic.Int64              // a time.Duration
	successor atomic.Pointer[successor] // nil: none
	gate      gate
	holding   atomic.Bool
	heldFor   atomic.Pointer[successor] // the one that gets the state; nil: none
	changed   chan struct{}             // size 1, while holding: something has ended

	mu       sync.Mutex // a leaf
	open     map[*conn]struct{}
	ended    int // hijacked ones, since the drain began or the last count
	goodbyes map[*goodbye]struct{}
	said     int // goodbyes, likewise
	draining bool
}

type goodbye struct{ say func(context.Context) }

// Counts are what a worker reports. In a drain each connection counts once.
type Counts struct {
	Requests atomic.Int64
	Moved    atomic.Int64 // go on in another worker
	Finished atomic.Int64 // served to their end
	Told     atomic.Int64 // idle ones that were told to go and went, or were closed
	Cut      atomic.Int64 // at the deadline
}

// New has no listeners yet. Connections that are left when cut ends are closed;
// start runs a function on a goroutine for which the process waits.
func New(cut context.Context, start func(func())) *Connections {
	return &Connections{
		cut: cut, start: start, listeners: make(map[string]*Listener),
		changed: make(chan struct{}, 1),
		open:    make(map[*conn]struct{}), goodbyes: make(map[*goodbye]struct{}),
	}
}

// Listen adds a listener. All are added before the first connection is accepted.
func (all *Connections) Listen(name string, ln net.Listener) *Listener {
	l := &Listener{Listener: ln, name: name, all: all}
	all.listeners[name] = l
	return l
}

func (all *Connections) Listener(name string) *Listener { return all.listeners[name] }

func (all *Connections) Names() []string { return slices.Sorted(maps.Keys(all.listeners)) }

// BeginDrain begins to count what ends, and says the goodbyes of hijacked
// connections. Connections that are told to go have lameDuck for a last request.
func (all *Connections) BeginDrain(lameDuck time.Duration) {
	all.lameDuck.Store(int64(lameDuck))
	all.mu.Lock()
	defer all.mu.Unlock()
	all.draining, all.ended = true, 0
	for g := range all.goodbyes {
		all.say(g)
	}
}

// Farewell registers the goodbye of a hijacked connection: it is called once,
// when the drain begins or at once if it has begun. done takes it back.
func (all *Connections) Farewell(say func(ctx context.Context)) (done func()) {
	g := &goodbye{say}
	all.mu.Lock()
	defer all.mu.Unlock()
	all.goodbyes[g] = struct{}{}
	if all.draining {
		all.say(g)
	}
	return func() {
		all.mu.Lock()
		defer all.mu.Unlock()
		delete(all.goodbyes, g)
	}
}

// say is called with the lock held.
func (all *Connections) say(g *goodbye) {
	all.said++
	all.start(func() { g.say(all.cut) })
}

// CloseListeners ends accepting.
func (all *Connections) CloseListeners() {
	for _, l := range all.listeners {
		_ = l.Close() // it may be closed already
	}
}

// HandOver gives connections to the successor at the other end of c, which
// replaces an earlier one. [Server.Drain] decides which and when.
func (all *Connections) HandOver(c *ipc.Conn) {
	if s := all.heldFor.Load(); s != nil && !s.isOver() {
		_ = c.Close() // it is on the way to the same one, or takes its work back
		return
	}
	all.succeed(newSuccessor(c))
}

func (all *Connections) succeed(s *successor) {
	if old := all.successor.Swap(s); old != nil {
		old.end()
	}
	all.start(func() { s.give(all) })
	for _, l := range all.listeners {
		if srv := l.server.Load(); srv != nil && (srv.draining.Load() || all.holding.Load()) {
			srv.handOver()
		}
	}
}

func (all *Connections) add(c *conn) *conn {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.open[c] = struct{}{}
	return c
}

func (all *Connections) remove(c *conn) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if _, open := all.open[c]; open && c.hijacked.Load() {
		all.ended++
	}
	delete(all.open, c)
}

func (all *Connections) Open() int {
	all.mu.Lock()
	defer all.mu.Unlock()
	return len(all.open)
}

// Hijacked counts the open ones that handlers have taken over.
func (all *Connections) Hijacked() (n int) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for c := range all.open {
		if c.hijacked.Load() {
			n++
		}
	}
	return n
}

// hijackedPoll is how often a drain looks for the end of hijacked connections,
// which nothing reports.
const hijackedPoll = 50 * time.Millisecond

// drainHijacked waits for hijacked connections and closes those that are left
// when the time is over.
func (all *Connections) drainHijacked() {
	t := time.NewTicker(hijackedPoll)
	defer t.Stop()
	for all.Open() > 0 && all.cut.Err() == nil {
		select {
		case <-t.C:
		case <-all.cut.Done():
		}
	}
	left := all.countHijacked()
	all.Counts.Cut.Add(int64(len(left)))
	for _, c := range left {
		_ = c.Close() // nothing to be done about it
	}
}

// countHijacked counts those that have ended and returns the others. One that was
// told to go and has gone counts as told.
func (all *Connections) countHijacked() (left []*conn) {
	all.mu.Lock()
	defer all.mu.Unlock()
	told := all.said
	if all.cut.Err() != nil {
		told = max(0, told-len(all.goodbyes))
	}
	all.Counts.Told.Add(int64(told))
	all.Counts.Finished.Add(int64(max(0, all.ended-told)))
	all.said, all.ended = 0, 0
	return slices.Collect(maps.Keys(all.open))
}
