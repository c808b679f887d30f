package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/norestart/norestart/control"
)

// Bounds of the primary. A descriptor is a socket, a pipe, a pidfd or a
// conversation of a worker; there are some more for retiring processes and for
// callers.
const (
	mostFiles  = 64 + 12*mostWorkers
	mostMemory = 96 << 20
)

type watcher struct {
	*place
	*journal
	cancel context.CancelFunc
	wg     sync.WaitGroup

	// Of its goroutine alone, and read when that has ended.
	before        snapshot
	incarnations  map[uint64]string    // the slot of each
	generations   map[string]time.Time // since when
	files, memory int                  // the most that the primary had

	mu     sync.Mutex // a leaf
	scales []*scaling
	hits   map[string][]time.Time
}

// scaling is a command that changes how many slots there are.
type scaling struct {
	to    int
	ended time.Time // zero while it runs
}

type snapshot struct {
	at      time.Time // when it was asked for
	primary control.Primary
	floor   int // slots from here on may come and go
	workers map[string]control.WorkerInfo
}

func newWatcher(p *place, j *journal) *watcher {
	return &watcher{
		place: p, journal: j, incarnations: make(map[uint64]string), generations: make(map[string]time.Time),
		hits: make(map[string][]time.Time),
	}
}

func (w *watcher) begin(k *keeper) {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	w.wg.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			w.look(ctx, k, n)
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
}

func (w *watcher) end() {
	if w.cancel == nil {
		return
	}
	w.cancel()
	w.wg.Wait()
	w.fact("the primary had at most %d descriptors and %.1f MiB of memory; %d processes, %d generations", w.files, float64(w.memory)/(1<<20), len(w.incarnations), len(w.generations))
}

// look asks once. An answer that does not come is wrong unless somebody has
// just done something to the primary.
func (w *watcher) look(ctx context.Context, k *keeper, n int) {
	quiet, asked := w.quiet(), time.Now()
	err := w.ask(ctx, n)
	if err != nil && ctx.Err() == nil && quiet && w.undisturbed(asked) {
		w.wrong("the primary does not answer, asked %s: %v", stamp(asked), err)
	}
	if err == nil && w.ill(ctx) == "" {
		w.settled(asked)
	}
	if pid := k.pid(); pid != 0 {
		w.weigh(pid)
	}
}

func (w *watcher) ask(ctx context.Context, n int) error {
	now := snapshot{at: time.Now(), workers: make(map[string]control.WorkerInfo)}
	s, err := control.Get(ctx, w.client, control.StatusQuery{})
	if err != nil {
		return err
	}
	workers, err := control.Get(ctx, w.client, control.WorkersQuery{})
	if err != nil {
		return err
	}
	if s.Primary != nil {
		now.primary = *s.Primary
	}
	for _, one := range workers {
		now.workers[one.ID] = one
		w.meet(one)
	}
	now.floor = w.floor(s, w.before.at)
	w.compare(now)
	w.before = now
	if n%5 > 0 {
		return nil
	}
	return w.count(ctx)
}

// floor is the number of slots of the web pool that no command has scaled away
// since then. A command may begin and end between two questions of a look.
func (w *watcher) floor(s control.Status, since time.Time) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	floor := mostWorkers
	for _, p := range s.Pools {
		if p.Name == webPool {
			floor = p.Target
		}
	}
	w.scales = slices.DeleteFunc(w.scales, func(c *scaling) bool { return !c.ended.IsZero() && c.ended.Before(since) })
	for _, c := range w.scales {
		floor = min(floor, c.to)
	}
	return floor
}

// scale notes a command that scales, until the returned function is called.
func (w *watcher) scale(to int) (done func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := &scaling{to: to}
	w.scales = append(w.scales, c)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		c.ended = time.Now()
	}
}

func (w *watcher) meet(one control.WorkerInfo) {
	all := append([]control.Process{{PID: one.PID, Incarnation: one.Incarnation}}, one.Outgoing...)
	if one.Successor != nil {
		all = append(all, *one.Successor)
	}
	for _, p := range all {
		if p.PID == 0 || p.Incarnation == 0 {
			continue
		}
		who := fmt.Sprintf("%s pid %d", one.ID, p.PID)
		if was := w.incarnations[p.Incarnation]; was != "" && was != who {
			w.wrong("incarnation %d is %s and was %s", p.Incarnation, who, was)
		}
		w.incarnations[p.Incarnation] = who
	}
}

// compare finds slots that were ready and are not without a cause. It leaves
// out what a new primary has not heard yet.
func (w *watcher) compare(now snapshot) {
	then := w.before
	if then.primary.PID != now.primary.PID || !then.primary.Since.Equal(now.primary.Since) {
		return
	}
	for slot := range min(then.floor, now.floor) {
		id := fmt.Sprintf("%s/%d", webPool, slot)
		was, is := then.workers[id], now.workers[id]
		if was.State != control.Ready || is.State == control.Ready || w.doomed(was.PID) || w.hitSince(id, then.at.Add(-2*time.Second)) {
			continue
		}
		w.wrong("%s was ready (pid %d) and is %s (pid %d), and nothing was done to it; last exit %+v", id, was.PID, is.State, is.PID, is.LastExit)
	}
}

func (w *watcher) count(ctx context.Context) error {
	all, err := control.Get(ctx, w.client, control.GenerationsQuery{})
	if err != nil {
		return err
	}
	for _, g := range all {
		name := fmt.Sprintf("%s %d", g.Pool, g.Number)
		if was, ok := w.generations[name]; ok && !was.Equal(g.Since) {
			w.wrong("generation %s is of %s and was of %s", name, g.Since, was)
		}
		w.generations[name] = g.Since
	}
	return nil
}

func (w *watcher) weigh(pid int) {
	files, memory, err := usage(pid)
	if err != nil {
		return // it has gone
	}
	w.files, w.memory = max(w.files, files), max(w.memory, memory)
	if files > mostFiles {
		w.wrong("the primary has %d descriptors", files)
	}
	if memory > mostMemory {
		w.wrong("the primary has %d bytes of memory", memory)
	}
}

// ill tells why the cluster is not well or not at rest; nothing, if it is.
func (w *watcher) ill(ctx context.Context) string {
	s, err := control.Get(ctx, w.client, control.StatusQuery{})
	if err != nil {
		return err.Error()
	}
	var why []string
	for _, p := range s.Pools {
		if p.Ready != p.Target || p.Dead+p.Stopped+p.Silent > 0 || len(p.Listen) == 0 {
			why = append(why, fmt.Sprintf("%+v", p))
		}
	}
	for _, j := range s.Jobs {
		why = append(why, fmt.Sprintf("job %s %s %s runs since %s", j.ID, j.Kind, j.What, stamp(j.Since)))
	}
	return strings.Join(why, "; ")
}

func (w *watcher) hit(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hits[id] = append(w.hits[id], time.Now())
}

func (w *watcher) hitSince(id string, since time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.hits[id]
	return len(all) > 0 && all[len(all)-1].After(since)
}

// bears reports whether a slot can take one more hit: after more than five
// within a minute it is given up, which is right, and the end of the run.
func (w *watcher) bears(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, at := range w.hits[id] {
		if time.Since(at) < control.DefaultWithin+lostAfter {
			n++
		}
	}
	return n < control.DefaultMaxRestarts-1
}

// lookBack looks for what no process may say.
func (w *watcher) lookBack(ctx context.Context) {
	bad := func(line string) bool {
		return strings.Contains(line, "WARNING: DATA RACE") || strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:")
	}
	err := control.Watch(ctx, w.client, control.LogQuery{Lines: 10_000}, func(l control.LogLine) error {
		if bad(l.Text) {
			w.wrong("%s says %q", l.Worker, l.Text)
		}
		return nil
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		w.wrong("the log: %v", err)
	}
}
