package primary

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

func TestScale(t *testing.T) {
	spec := quick("web", 2)
	spec.MaxWorkers = 5
	c := start(t, spec)
	j, _ := c.do(control.ScaleRequest{Pool: "web", To: 4, Seen: new(2)})
	if n := len(c.workers()); j.State != control.JobOK || j.Done != 2 || n != 4 {
		t.Errorf("up: %s %s, %d done, %d workers", j.State, j.Error, j.Done, n)
	}
	j, events := c.do(control.ScaleRequest{Pool: "web", To: 1})
	if n := len(c.workers()); j.State != control.JobOK || len(events) != 3 || n != 1 {
		t.Errorf("down: %s %s, %v, %d workers", j.State, j.Error, happened(events), n)
	}
	st, err := control.Get(c.context(), c.ctl, control.StatusQuery{})
	must(t, err)
	if p := st.Pools[0]; p.Target != 1 || p.Configured != 2 || p.Ready != 1 {
		t.Errorf("status %+v", p)
	}
	j, _ = c.do(control.ScaleRequest{Pool: "web", To: 0})
	if n := len(c.script.Running()); j.State != control.JobOK || n != 0 {
		t.Errorf("to none: %s %s, %d processes", j.State, j.Error, n)
	}
	if j, _ = c.do(control.ScaleRequest{Pool: "web", To: 1}); j.State != control.JobOK {
		t.Errorf("from none: %s %s", j.State, j.Error)
	}
}

func TestScaleRefused(t *testing.T) {
	spec, shell := quick("web", 2), quick("shell", 1)
	spec.MaxWorkers, shell.BuiltIn = 5, true
	c := start(t, spec, shell)
	tests := map[string]struct {
		r    control.ScaleRequest
		want error
	}{
		"no such pool":  {control.ScaleRequest{Pool: "wob", To: 1}, control.ErrNoPool},
		"seen another":  {control.ScaleRequest{Pool: "web", To: 3, Seen: new(1)}, control.ErrConflict},
		"below 0":       {control.ScaleRequest{Pool: "web", To: -5}, control.ErrUsage},
		"above the max": {control.ScaleRequest{Pool: "web", To: 6}, control.ErrUsage},
		"built in":      {control.ScaleRequest{Pool: "shell", To: 2}, control.ErrUsage},
	}
	for name, test := range tests {
		if _, err := c.ctl.Do(c.context(), test.r, nil); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	if n := len(c.script.Processes()); n != 3 {
		t.Errorf("%d processes were started, want 3", n)
	}
}

func TestScaleUpThatFails(t *testing.T) {
	c := start(t, quick("web", 1))
	c.act((*actor).crash)
	j, events := c.do(control.ScaleRequest{Pool: "web", To: 2})
	if j.State != control.JobFailed || !strings.Contains(j.Error, "worker web/1 exited with status 3") {
		t.Errorf("%s: %s", j.State, j.Error)
	}
	if len(events) != 1 || len(events[0].Lines) != 1 {
		t.Errorf("events %+v", events)
	}
}

func TestDeadAndRevived(t *testing.T) {
	spec := quick("web", 2)
	spec.MaxRestarts = 2
	c := start(t, spec)
	c.act((*actor).crash)
	c.last("web/0").Kill(syscall.SIGSEGV)
	for !strings.Contains(c.await("worker.dead", "web/0").Text, "dead") {
	}
	st, err := control.Get(c.context(), c.ctl, control.StatusQuery{})
	must(t, err)
	if p := st.Pools[0]; p.Dead != 1 || p.Ready != 1 || !strings.Contains(p.LastFailure, "web/0 exited with status 3") || p.Crashes == nil || p.Crashes.Count != 1 || p.Crashes.Worker != "web/0" {
		t.Errorf("status %+v", p)
	}
	d, err := control.Get(c.context(), c.ctl, control.WorkerQuery{ID: "web/0"})
	must(t, err)
	if len(d.Exits) != 3 || d.Exits[2].Signal != "SIGSEGV" || d.Exits[0].Code != 3 || len(d.Exits[0].Lines) != 1 || len(d.Lines) != 2 {
		t.Errorf("exits %+v, lines %q", d.Exits, d.Lines)
	}
	if j, _ := c.do(control.ReviveRequest{IDs: []string{"web/0"}}); j.State != control.JobFailed {
		t.Errorf("revived what crashes: %s", j.State)
	}
	for !strings.Contains(c.await("worker.dead", "web/0").Text, "dead") { // none that crashes is under way then
	}
	c.act((*actor).serve)
	if j, _ := c.do(control.ReviveRequest{IDs: []string{"web/0"}}); j.State != control.JobOK {
		t.Errorf("revive: %s: %s", j.State, j.Error)
	}
	if _, err := c.ctl.Do(c.context(), control.ReviveRequest{IDs: []string{"web/7"}}, nil); !errors.Is(err, control.ErrNoWorker) {
		t.Errorf("revive of what is not there: %v", err)
	}
}

func TestWorkerStopAndRestart(t *testing.T) {
	c := start(t, quick("web", 2))
	first := c.incarnations()
	if j, _ := c.do(control.RestartWorkerRequest{ID: "web/1"}); j.State != control.JobOK {
		t.Errorf("restart: %s: %s", j.State, j.Error)
	}
	if now := c.incarnations(); now[0] != first[0] || now[1] == first[1] || c.workers()["web/1"].Generation != 1 {
		t.Errorf("incarnations %v, before %v", now, first)
	}
	if j, _ := c.do(control.StopWorkerRequest{ID: "web/1"}); j.State != control.JobOK || c.workers()["web/1"].State != control.Stopped {
		t.Errorf("stop: %s: %s; it is %s", j.State, j.Error, c.workers()["web/1"].State)
	}
	if _, err := c.ctl.Do(c.context(), control.RestartWorkerRequest{ID: "web/1"}, nil); !errors.Is(err, control.ErrConflict) {
		t.Errorf("restart of a stopped one: %v", err)
	}
	if j, _ := c.do(control.ReviveRequest{IDs: []string{"web/1"}}); j.State != control.JobOK {
		t.Errorf("revive: %s: %s", j.State, j.Error)
	}
}

func TestSignal(t *testing.T) {
	c := start(t, quick("web", 1))
	for signal, want := range map[string]error{"USR1": nil, "SIGUSR1": nil, "10": nil, "10x": control.ErrUsage, "": control.ErrUsage, "0": control.ErrUsage, "TERMINATE": control.ErrUsage} {
		if _, err := c.ctl.Do(c.context(), control.SignalRequest{ID: "web/0", Signal: signal}, nil); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", signal, err, want)
		}
	}
	if d := cmp.Diff([]syscall.Signal{10, 10, 10}, c.last("web/0").Signals()); d != "" {
		t.Errorf("signals (-want +got):\n%s", d)
	}
	if _, err := c.ctl.Do(c.context(), control.SignalRequest{ID: "web/0", Signal: "KILL", Incarnation: 77}, nil); !errors.Is(err, control.ErrConflict) {
		t.Errorf("a signal for another incarnation: %v", err)
	}
}

// TestStopCutsTheStubborn: whoever ignores everything is killed and reported.
func TestStopCutsTheStubborn(t *testing.T) {
	c := newCluster(t, hasty("web", 2))
	c.act(on("web/1", (*actor).stubborn))
	c.run()
	c.await("cluster.ready", "")
	j, events := c.do(control.StopRequest{})
	if j.State != control.JobOK {
		t.Errorf("%s: %s", j.State, j.Error)
	}
	within(t, c.over)
	if d := cmp.Diff([]syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}, c.last("web/1").Signals()); d != "" {
		t.Errorf("signals (-want +got):\n%s", d)
	}
	if n := len(events); n != 2 || events[1].Event != "cut" || events[1].Worker != "web/1" || !strings.Contains(events[1].Error, "ignored TERM") {
		t.Errorf("events %+v", events)
	}
	if _, err := control.Get(c.context(), c.ctl, control.StatusQuery{}); !errors.Is(err, control.ErrUnavailable) {
		t.Errorf("after the end: %v", err)
	}
}

// TestStopOvertakes whatever runs.
func TestStopOvertakes(t *testing.T) {
	c := start(t, quick("web", 2))
	c.act((*actor).slow)
	begun, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		j, err := c.ctl.Do(c.context(), control.ReloadRequest{}, func(e control.JobEvent) error {
			if e.Event == control.StepAccepted {
				close(begun)
			}
			return nil
		})
		if err != nil || j.State != control.JobCancelled {
			t.Errorf("the reload: %s: %s, %v", j.State, j.Error, err)
		}
	}()
	within(t, begun)
	if j, _ := c.do(control.StopRequest{}); j.State != control.JobOK {
		t.Errorf("the stop: %s: %s", j.State, j.Error)
	}
	within(t, ended)
	within(t, c.over)
}

// TestStopEndsLastingSessions: a retired shell worker may stay for the sake of
// its sessions, but not longer than the cluster.
func TestStopEndsLastingSessions(t *testing.T) {
	shell := quick("shell", 1)
	shell.BuiltIn, shell.MaxOutgoing, shell.DrainTimeout = true, 4, time.Minute
	c := newCluster(t, quick("web", 1), shell)
	c.act(on("shell/0", func(a *actor) { a.serveUntil(func(d ipc.Drain) bool { return d.Final }) }))
	c.run()
	c.await("cluster.ready", "")
	for range 2 {
		c.reload(control.ReloadRequest{Pools: []string{"shell"}}, control.JobOK)
	}
	if out := c.workers()["shell/0"].Outgoing; len(out) != 2 {
		t.Fatalf("outgoing %+v, want two", out)
	}
	c.do(control.StopRequest{})
	within(t, c.over)
}

// TestTooManyOutgoing: the oldest ends first, then the next.
func TestTooManyOutgoing(t *testing.T) {
	w := newWorld(control.PoolSpec{MaxOutgoing: 2}, true)
	w.step(input{kind: hWant, want: wantRun})
	w.step(input{kind: hReady, inc: 1})
	for range 4 {
		w.step(input{kind: hPrepare, gen: 2})
		w.step(input{kind: hReady, inc: w.next.inc})
		w.step(input{kind: hCommit})
	}
	var got []int
	for inc := range uint64(4) {
		got = append(got, len(w.told[inc+1]))
	}
	if d := cmp.Diff([]int{2, 2, 1, 1}, got); d != "" {
		t.Errorf("how often each was told to drain (-want +got):\n%s", d)
	}
}

// TestSpawnFailsAfterItsEnd: a process that was given up before its start had
// failed leaves nothing behind.
func TestSpawnFailsAfterItsEnd(t *testing.T) {
	w := newWorld(control.PoolSpec{}, false)
	w.step(input{kind: hWant, want: wantRun})
	w.step(input{kind: hWant, want: wantStopped})
	delete(w.alive, 1)
	w.step(input{kind: hSpawnFailed, inc: 1})
	if !w.idle() || w.state() != control.Stopped {
		t.Errorf("the slot is %s with %d retiring", w.state(), len(w.old))
	}
}

// TestStopWhileStarting: a start that hangs and then fails ends with the rest.
func TestStopWhileStarting(t *testing.T) {
	c := start(t, quick("web", 1))
	j, err := c.ctl.Do(c.context(), control.StopWorkerRequest{ID: "web/0"}, nil)
	must(t, err)
	c.follow(j, nil)
	c.script.FailNext(syscall.EAGAIN)
	if j, _ := c.do(control.ReviveRequest{IDs: []string{"web/0"}}); j.State != control.JobFailed || !strings.Contains(j.Error, "could not be started") {
		t.Errorf("%s: %s", j.State, j.Error)
	}
	c.await("worker.ready", "web/0") // it is tried again
}

// TestLost: a worker that has stopped beating is killed and replaced.
func TestLost(t *testing.T) {
	spec := hasty("web", 1)
	spec.LostAfter, spec.Beat = 10*time.Millisecond, time.Millisecond
	c := newCluster(t, spec)
	c.act(on("web/0", func(a *actor) {
		if a.boot.Incarnation != 1 {
			a.beat()
			return
		}
		a.stubborn()
	}))
	c.run()
	if e := c.await("worker.killed", "web/0"); !strings.Contains(e.Text, "no beat for 10ms") {
		t.Errorf("event %q", e.Text)
	}
	c.await("worker.ready", "web/0")
	if w := c.workers()["web/0"]; w.Incarnation != 2 || w.LastExit == nil || !strings.Contains(w.LastExit.Reason, "no beat") {
		t.Errorf("worker %+v", w)
	}
}

// beat is a worker that beats and does nothing else.
func (a *actor) beat() {
	a.Obey(syscall.SIGTERM)
	if !a.join() {
		return
	}
	a.tell(ipc.TypeReady, nil)
	for a.conn.Send(soon, ipc.TypeBeat, ipc.Beat{Connections: 3, Requests: 5}) == nil {
		select {
		case <-a.dead:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// TestAwayIsNotSilence: a primary that was stopped itself does not kill those
// whose beats it could not read.
func TestAwayIsNotSilence(t *testing.T) {
	for name, test := range map[string]struct {
		away time.Duration
		told int
	}{
		"looks every second":  {tickEvery, 1},
		"was stopped so long": {time.Minute, 0},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			l, s := bare()
			s.slotState = slotState{want: wantRun, cur: processState{inc: 1, ready: true}}
			s.processes[1] = &process{inc: 1, dropped: make(chan struct{}), conv: &conversation{}, heard: now.Add(-time.Minute)}
			l.looked = now.Add(-test.away)
			l.checkBeats(now)
			events, _, _ := l.news.read(1)
			if len(events) != test.told {
				t.Errorf("events %+v, want %d", events, test.told)
			}
		})
	}
}

// bare is a loop that does not run, with one slot.
func bare() (*loop, *slot) {
	p := &pool{protocol: library{}, spec: control.PoolSpec{Name: "web"}.WithDefaults()}
	s := newSlot(p, 0)
	p.slots = []*slot{s}
	return &loop{
		cfg: Config{Console: func(string) {}}, pools: []*pool{p}, counter: &counter{}, post: func(event) bool { return true },
		news: newEventLog(1, 10, 1000, func(control.Event) int { return 1 }),
	}, s
}

// TestReadyBeforeStarted: a process may say so before its starter has returned;
// it counts once its pid is known to be that of who speaks.
func TestReadyBeforeStarted(t *testing.T) {
	for name, test := range map[string]struct {
		peer int
		want control.State
	}{
		"the process itself": {os.Getpid(), control.Ready},
		"somebody else":      {1, control.Starting},
	} {
		t.Run(name, func(t *testing.T) {
			l, s := bare()
			s.slotState = slotState{want: wantRun, cur: processState{inc: 1}}
			uc, err := newCluster(t).socket()
			must(t, err)
			s.processes[1] = &process{inc: 1, conv: newConversation(ipc.NewConn(uc)), peer: test.peer}
			l.becameReady(s, 1)
			if s.state() != control.Starting {
				t.Errorf("before its pid is known it is %s", s.state())
			}
			l.started(s, 1, &actor{pid: os.Getpid()}, nil)
			if s.state() != test.want {
				t.Errorf("it is %s, want %s", s.state(), test.want)
			}
			_ = uc.Close() // an impostor's is closed already
		})
	}
}

// TestConsoleThatBlocks does not hold up the end.
func TestConsoleThatBlocks(t *testing.T) {
	blocked := &blockedWriter{until: make(chan struct{})}
	c := newCluster(t, quick("web", 1))
	c.cfg.Out = blocked
	c.run()
	c.await("cluster.ready", "")
	c.cancel()
	within(t, c.over)
	close(blocked.until)
}

type blockedWriter struct{ until chan struct{} }

func (b *blockedWriter) Write(p []byte) (int, error) {
	<-b.until
	return len(p), nil
}

func TestSecondPrimary(t *testing.T) {
	c := start(t, quick("web", 1))
	second := newCluster(t, quick("web", 1))
	second.cfg.State = c.cfg.State
	second.cfg.Run = c.cfg.Run
	err := Run(c.context(), second.cfg)
	if err == nil || !strings.Contains(err.Error(), "another primary runs here already: pid ") {
		t.Errorf("%v", err)
	}
	if n := len(second.script.Processes()); n > 0 {
		t.Errorf("it started %d processes", n)
	}
	if len(c.workers()) != 1 {
		t.Error("the first is not well")
	}
}
