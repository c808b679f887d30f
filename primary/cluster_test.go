package primary

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/proc"
	"github.com/norestart/norestart/internal/proc/proctest"
)

// soon is how long anything in these tests may take before it has failed, also
// on a machine that has much else to do.
const soon = time.Minute

// cluster is a primary with processes that a test plays. They speak to it over
// its real sockets.
type cluster struct {
	t      *testing.T
	cfg    Config
	script *proctest.Script
	ctl    *ipc.Client
	over   chan struct{} // Run has returned, with err
	err    error
	cancel context.CancelFunc
	seen   control.Cursor // of the events, by await

	mu        sync.Mutex   // protects what follows
	part      func(*actor) // how the next processes behave
	says      string       // what they have written when their start returns
	stranger  uint64       // the incarnation whose pid is not that of who speaks for it
	actors    []*actor
	survivors []*actor // of an earlier primary
	acting    sync.WaitGroup
}

// quick is a pool with times for tests.
func quick(name string, workers int) control.PoolSpec {
	return control.PoolSpec{
		Name: name, Workers: workers, Canary: 10 * time.Millisecond, LameDuck: -1,
		DrainTimeout: soon, KillAfter: 50 * time.Millisecond, BackoffMin: time.Millisecond,
	}
}

// hasty is quick for workers that hear no message: a drain ends soon by TERM.
func hasty(name string, workers int) control.PoolSpec {
	s := quick(name, workers)
	s.DrainTimeout = 50 * time.Millisecond
	return s
}

// newCluster makes one that has not been started.
func newCluster(t *testing.T, pools ...control.PoolSpec) *cluster {
	t.Helper()
	binary, err := os.Executable()
	must(t, err)
	dir := t.TempDir()
	c := &cluster{t: t, script: proctest.New(), over: make(chan struct{}), part: (*actor).serve}
	c.cfg = Config{
		Spec: control.Spec{Name: "test", Pools: pools}, Version: "1", PID: os.Getpid(), Run: dir, State: dir,
		Binary: binary, Argv: []string{"web"}, Dir: "/", Starter: c,
	}
	c.ctl = &ipc.Client{Dial: func(ctx context.Context) (*net.UnixConn, error) {
		return inherit.DialUnix(ctx, filepath.Join(dir, ipc.CtlSocket))
	}}
	return c
}

// run starts it; the test ends it.
func (c *cluster) run() {
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	go func() {
		c.err = Run(ctx, c.cfg)
		close(c.over)
	}()
	c.t.Cleanup(c.end)
}

// start makes one and waits until it is as it should be.
func start(t *testing.T, pools ...control.PoolSpec) *cluster {
	t.Helper()
	c := newCluster(t, pools...)
	c.run()
	c.await("cluster.ready", "")
	return c
}

// end stops the cluster, whatever its workers do. The end of the context would
// cut the conversations by which they are told.
func (c *cluster) end() {
	defer c.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	if _, err := c.ctl.Do(ctx, control.StopRequest{}, nil); err != nil {
		c.cancel()
	}
	for {
		select {
		case <-c.over:
			if c.err != nil {
				c.t.Errorf("run: %v", c.err)
			}
			for _, p := range c.script.Running() {
				p.Exit(1) // a survivor that the primary did not take over
			}
			c.acting.Wait()
			return
		case <-time.After(soon):
			c.t.Errorf("the cluster does not end: %d processes are left", len(c.script.Running()))
			for _, p := range c.script.Running() {
				p.Exit(1)
			}
		}
	}
}

// act changes how processes behave that are started from now on.
func (c *cluster) act(part func(*actor)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.part = part
}

// on plays part for one worker, and serves for the others.
func on(worker string, part func(*actor)) func(*actor) {
	return func(a *actor) {
		if a.id() == worker {
			part(a)
			return
		}
		a.serve()
	}
}

// Adopt implements [proc.Adopter]. A process in no record is known by the pid
// of who speaks for it: the test's own.
func (c *cluster) Adopt(pid int, start uint64) (proc.Process, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.survivors {
		if a.adopted || a.Process.PID() != pid && (pid != os.Getpid() || a.known) {
			continue
		}
		if pid == os.Getpid() {
			start = a.StartTime()
		}
		p, err := c.script.Adopt(a.Process.PID(), start)
		if err != nil {
			return nil, err
		}
		a.adopted = true
		return &actor{Process: p.(*proctest.Process), pid: os.Getpid(), exit: forward(p)}, nil
	}
	return nil, os.ErrProcessDone
}

// forward is the channel of p as an actor has it.
func forward(p proc.Process) chan proc.Exit {
	c := make(chan proc.Exit, 1)
	go func() { c <- <-p.Wait(); close(c) }()
	return c
}

// Start implements [proc.Starter].
func (c *cluster) Start(cmd proc.Command) (proc.Process, error) {
	p, err := c.script.Start(cmd)
	if err != nil {
		return nil, err
	}
	a, err := newActor(p.(*proctest.Process))
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	part := c.part
	if c.stranger == a.boot.Incarnation {
		a.pid = 1
	}
	if c.says != "" {
		a.say("%s", c.says)
	}
	c.actors = append(c.actors, a)
	c.mu.Unlock()
	c.acting.Go(func() { part(a) })
	c.acting.Go(a.reap)
	return a, nil
}

// all are the processes of a worker so far, oldest first.
func (c *cluster) all(worker string) []*actor {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.actors), func(a *actor) bool { return a.id() != worker })
}

// last is the newest process of a worker.
func (c *cluster) last(worker string) *actor {
	all := c.all(worker)
	if len(all) == 0 {
		c.t.Fatalf("worker %s was never started", worker)
	}
	return all[len(all)-1]
}

// context is over before a test that hangs is.
func (c *cluster) context() context.Context {
	ctx, cancel := context.WithTimeout(c.t.Context(), soon)
	c.t.Cleanup(cancel)
	return ctx
}

var errFound = errors.New("found")

// await waits for the next event of a kind.
func (c *cluster) await(kind control.EventKind, worker string) control.Event {
	c.t.Helper()
	ctx := c.context()
	var found control.Event
	for {
		err := control.Watch(ctx, c.ctl, control.EventQuery{Lines: 1000, Follow: true, After: c.seen}, func(e control.Event) error {
			c.seen = e.Cursor
			if e.Kind == kind && (worker == "" || e.Worker == worker) {
				found = e
				return errFound
			}
			return nil
		})
		switch {
		case err == errFound:
			return found
		case ctx.Err() != nil:
			c.t.Fatalf("no event %s %s: %v", kind, worker, err)
		}
		select { // the socket may not be there yet
		case <-c.over:
			c.t.Fatalf("the cluster ended without an event %s %s: %v", kind, worker, c.err)
		case <-time.After(time.Millisecond):
		}
	}
}

// follow waits for the end of a job and returns it with its events.
func (c *cluster) follow(j control.Job, err error) (control.Job, []control.JobEvent) {
	c.t.Helper()
	must(c.t, err)
	var events []control.JobEvent
	j, err = c.ctl.Do(c.context(), control.FollowRequest{ID: j.ID}, func(e control.JobEvent) error { events = append(events, e); return nil })
	must(c.t, err)
	return j, events
}

// do carries out a request and returns how its job ended, with its events.
func (c *cluster) do(r control.Request) (control.Job, []control.JobEvent) {
	c.t.Helper()
	var events []control.JobEvent
	j, err := c.ctl.Do(c.context(), r, func(e control.JobEvent) error {
		if e.Event != control.StepAccepted {
			events = append(events, e)
		}
		return nil
	})
	must(c.t, err)
	return j, events
}

// reload does one and requires its outcome.
func (c *cluster) reload(r control.ReloadRequest, want control.JobState) (control.Job, []control.JobEvent) {
	c.t.Helper()
	j, events := c.do(r)
	if j.State != want {
		c.t.Fatalf("reload: %s: %s, want %s", j.State, j.Error, want)
	}
	return j, events
}

// workers are all of them by id.
func (c *cluster) workers() map[string]control.WorkerInfo {
	c.t.Helper()
	all, err := control.Get(c.context(), c.ctl, control.WorkersQuery{})
	must(c.t, err)
	byID := make(map[string]control.WorkerInfo)
	for _, w := range all {
		byID[w.ID] = w
	}
	return byID
}

// generations are what the slots run, in order.
func (c *cluster) generations() (g []int) {
	c.t.Helper()
	all, err := control.Get(c.context(), c.ctl, control.WorkersQuery{})
	must(c.t, err)
	for _, w := range all {
		g = append(g, w.Generation)
	}
	return g
}

// incarnations are the processes of the slots, in order.
func (c *cluster) incarnations() (n []uint64) {
	c.t.Helper()
	all, err := control.Get(c.context(), c.ctl, control.WorkersQuery{})
	must(c.t, err)
	for _, w := range all {
		n = append(n, w.Incarnation)
	}
	return n
}

// happened are the events in words: "replaced web/0".
func happened(events []control.JobEvent) (words []string) {
	for _, e := range events {
		words = append(words, strings.TrimSpace(string(e.Event)+" "+e.Worker))
	}
	return words
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func within(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(soon):
		t.Fatal("it did not happen")
	}
}

// descriptors counts what this process has open when the cluster is at rest:
// conversations end a moment after their answer.
func (c *cluster) descriptors() int {
	c.t.Helper()
	least := 1 << 30
	for range 20 {
		c.workers()
		all, err := os.ReadDir("/proc/self/fd")
		must(c.t, err)
		least = min(least, len(all))
	}
	return least
}
