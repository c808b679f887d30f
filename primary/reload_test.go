package primary

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
)

func TestReload(t *testing.T) {
	c := start(t, quick("web", 3))
	old := c.incarnations()
	j, events := c.reload(control.ReloadRequest{Pools: []string{"web"}}, control.JobOK)
	if d := cmp.Diff([]string{"replaced web/0", "replaced web/1", "replaced web/2", "summary"}, slices.Sorted(slices.Values(happened(events)))); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	if j.Done != 3 || j.Total != 3 || j.Ended.IsZero() || !strings.HasPrefix(j.Owner, "root") && !strings.Contains(j.Owner, "uid") {
		t.Errorf("job %+v", j)
	}
	if d := cmp.Diff([]int{2, 2, 2}, c.generations()); d != "" {
		t.Errorf("generations (-want +got):\n%s", d)
	}
	for _, n := range c.incarnations() {
		if slices.Contains(old, n) {
			t.Errorf("incarnation %d is used again", n)
		}
	}
	if n := len(c.script.Running()); n != 3 {
		t.Errorf("%d processes run after the reload, want 3", n)
	}
}

// TestReloadAborts: whatever happens to the canary, nothing is changed, and the
// answer says what happened.
func TestReloadAborts(t *testing.T) {
	noExec := func(c *cluster) { c.script.FailNext(syscall.ENOEXEC) }
	talks := func(c *cluster) { c.says = "waiting for the database" }
	tests := map[string]struct {
		part    func(*actor)
		setup   func(*cluster)
		canary  time.Duration
		timeout time.Duration
		cause   string
		lines   []string
	}{
		"dies before ready":      {part: (*actor).crash, cause: "exited with status 3", lines: []string{"cannot open the database"}},
		"dies within the canary": {part: (*actor).faint, canary: soon, cause: "exited with status 4", lines: []string{"lost the database"}},
		"never ready":            {part: (*actor).slow, setup: talks, timeout: 100 * time.Millisecond, cause: "not ready within 100ms", lines: []string{"waiting for the database"}},
		"cannot be started":      {part: (*actor).serve, setup: noExec, cause: "could not be started"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			spec := quick("web", 3)
			if test.canary > 0 {
				spec.Canary = test.canary
			}
			c := start(t, spec)
			before := c.incarnations()
			c.act(test.part)
			if test.setup != nil {
				test.setup(c)
			}
			j, events := c.reload(control.ReloadRequest{Timeout: test.timeout}, control.JobFailed)
			if !strings.Contains(j.Error, test.cause) || !strings.Contains(j.Error, "nothing was changed") {
				t.Errorf("error %q, want %q and that nothing was changed", j.Error, test.cause)
			}
			if d := cmp.Diff([]string{"failed web/0"}, happened(events)); d != "" {
				t.Errorf("events (-want +got):\n%s", d)
			} else if d := cmp.Diff(test.lines, events[0].Lines); d != "" {
				t.Errorf("last lines (-want +got):\n%s", d)
			}
			if d := cmp.Diff(before, c.incarnations()); d != "" {
				t.Errorf("processes (-want +got):\n%s", d)
			}
			if test.canary > 0 {
				return
			}
			c.act((*actor).serve)
			c.reload(control.ReloadRequest{}, control.JobOK)
			if d := cmp.Diff([]int{3, 3, 3}, c.generations()); d != "" {
				t.Errorf("generations after the next reload: a number is never used twice (-want +got):\n%s", d)
			}
		})
	}
}

// failing lets one worker fail under the generation that a reload brings.
func failing(worker string, gen int) func(*actor) {
	return func(a *actor) {
		if a.id() == worker && a.boot.Generation == gen {
			a.crash()
			return
		}
		a.serve()
	}
}

func TestRollBack(t *testing.T) {
	c := start(t, quick("web", 4))
	before := c.incarnations()
	c.act(failing("web/2", 2))
	j, events := c.reload(control.ReloadRequest{}, control.JobFailed)
	// Drains overlap, so that the order is not settled.
	want := []string{"failed web/2", "note", "replaced web/0", "replaced web/1", "rolled_back web/0", "rolled_back web/1"}
	if d := cmp.Diff(want, slices.Sorted(slices.Values(happened(events)))); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	if !strings.Contains(j.Error, "exited with status 3") || !strings.Contains(j.Error, "web/0, web/1, web/2, web/3 run generation 1") {
		t.Errorf("error %q", j.Error)
	}
	after := c.incarnations()
	if d := cmp.Diff([]int{1, 1, 1, 1}, c.generations()); d != "" {
		t.Errorf("generations (-want +got):\n%s", d)
	}
	if after[0] == before[0] || after[2] != before[2] || after[3] != before[3] {
		t.Errorf("incarnations %v, before %v: only 0 and 1 were in hand", after, before)
	}
}

func TestKeep(t *testing.T) {
	c := start(t, quick("web", 4))
	c.act(failing("web/2", 2))
	j, _ := c.reload(control.ReloadRequest{Keep: true}, control.JobFailed)
	if d := cmp.Diff([]int{2, 2, 1, 1}, c.generations()); d != "" {
		t.Errorf("generations (-want +got):\n%s", d)
	}
	if !strings.Contains(j.Error, "web/2, web/3 run generation 1, web/0, web/1 run generation 2") {
		t.Errorf("error %q", j.Error)
	}
	// One that is changed after that goes back to what it ran, not to what the
	// pool does.
	c.act(failing("web/1", 3))
	c.reload(control.ReloadRequest{}, control.JobFailed)
	if d := cmp.Diff([]int{2, 2, 1, 1}, c.generations()); d != "" {
		t.Errorf("generations after the roll-back of the next (-want +got):\n%s", d)
	}
}

// TestSurge: the one who fails takes the others in hand with it.
func TestSurge(t *testing.T) {
	c := start(t, quick("web", 6))
	c.act(failing("web/3", 2))
	_, events := c.reload(control.ReloadRequest{MaxSurge: 3}, control.JobFailed)
	if d := cmp.Diff([]int{1, 1, 1, 1, 1, 1}, c.generations()); d != "" {
		t.Errorf("generations (-want +got):\n%s", d)
	}
	replaced := map[string]int{}
	for _, e := range events {
		switch e.Event {
		case "replaced":
			replaced[e.Worker]++
		case "rolled_back":
			replaced[e.Worker]--
		}
	}
	for id, n := range replaced {
		if n != 0 {
			t.Errorf("%s was told as replaced and rolled back unevenly: %v", id, happened(events))
		}
	}
	c.act((*actor).serve)
	c.reload(control.ReloadRequest{MaxSurge: 6}, control.JobOK)
	if d := cmp.Diff([]int{3, 3, 3, 3, 3, 3}, c.generations()); d != "" {
		t.Errorf("generations (-want +got):\n%s", d)
	}
}

func TestCancelAfterTheWorkerInHand(t *testing.T) {
	c := start(t, quick("web", 4))
	inHand, release := make(chan struct{}), make(chan struct{})
	c.act(on("web/1", func(a *actor) { close(inHand); <-release; a.serve() }))
	j, err := c.ctl.Do(c.context(), control.ReloadRequest{}, nil)
	must(t, err)
	within(t, inHand)
	_, err = c.ctl.Do(c.context(), control.CancelRequest{ID: j.ID}, nil)
	must(t, err)
	close(release)
	j, events := c.follow(j, nil)
	if d := cmp.Diff([]string{"replaced web/0", "replaced web/1"}, slices.Sorted(slices.Values(happened(events)))); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	if j.State != control.JobCancelled || !strings.Contains(j.Error, "web/2, web/3 run generation 1, web/0, web/1 run generation 2") {
		t.Errorf("%s: %s", j.State, j.Error)
	}
	if d := cmp.Diff([]int{2, 2, 1, 1}, c.generations()); d != "" {
		t.Errorf("generations (-want +got):\n%s", d)
	}
}

func TestBusy(t *testing.T) {
	c := start(t, quick("web", 1), quick("jobs", 1))
	release := make(chan struct{})
	c.act(on("web/0", func(a *actor) { <-release; a.serve() }))
	first, err := c.ctl.Do(c.context(), control.ReloadRequest{Pools: []string{"web"}}, nil)
	must(t, err)
	for name, ask := range map[string]func() (control.Job, error){
		"reload": func() (control.Job, error) { return c.ctl.Do(c.context(), control.ReloadRequest{}, nil) },
		"scale": func() (control.Job, error) {
			return c.ctl.Do(c.context(), control.ScaleRequest{Pool: "web", To: 2}, nil)
		},
		"restart": func() (control.Job, error) { return c.ctl.Do(c.context(), control.RestartRequest{}, nil) },
		"worker restart": func() (control.Job, error) {
			return c.ctl.Do(c.context(), control.RestartWorkerRequest{ID: "web/0"}, nil)
		},
		"worker stop": func() (control.Job, error) { return c.ctl.Do(c.context(), control.StopWorkerRequest{ID: "web/0"}, nil) },
	} {
		_, err := ask()
		e, _ := errors.AsType[*control.Error](err)
		if !errors.Is(err, control.ErrBusy) || !strings.Contains(e.Message, "reload web by "+first.Owner+" has been running for") || e.Hint != "job follow "+first.ID {
			t.Errorf("%s: %#v", name, err)
		}
	}
	c.reload(control.ReloadRequest{Pools: []string{"jobs"}}, control.JobOK) // another pool is free
	close(release)
	if j, _ := c.follow(first, nil); j.State != control.JobOK {
		t.Errorf("the first ended as %s: %s", j.State, j.Error)
	}
	c.reload(control.ReloadRequest{}, control.JobOK)
}

// TestSecondPoolFails: what was done to the first one stays, and no
// descriptors of the generations stay open that never began.
func TestSecondPoolFails(t *testing.T) {
	c := start(t, quick("a", 1), quick("b", 1), quick("c", 1))
	fail := func() string {
		c.act(on("b/0", (*actor).crash))
		j, _ := c.reload(control.ReloadRequest{}, control.JobFailed)
		return j.Error
	}
	if text := fail(); !strings.Contains(text, "nothing of b was changed") {
		t.Errorf("error %q, but a was changed", text)
	}
	for range 5 {
		fail()
	}
	before := c.descriptors()
	for range 20 {
		fail()
	}
	if after := c.descriptors(); after > before+5 { // a conversation may just be ending
		t.Errorf("%d descriptors after 20 reloads, %d before", after, before)
	}
}

// TestHundredReloads leave nothing open.
func TestHundredReloads(t *testing.T) {
	spec := quick("web", 2)
	spec.Canary, spec.Listen = -1, []string{"tcp://127.0.0.1:0"}
	c := start(t, spec)
	for range 5 {
		c.reload(control.ReloadRequest{}, control.JobOK)
	}
	before := c.descriptors()
	for range 100 {
		c.reload(control.ReloadRequest{}, control.JobOK)
	}
	if after := c.descriptors(); after > before+5 { // a conversation may just be ending
		t.Errorf("%d descriptors after 100 reloads, %d before", after, before)
	}
	if d := cmp.Diff([]int{106, 106}, c.generations()); d != "" {
		t.Errorf("generations (-want +got):\n%s", d)
	}
}

func TestReloadFillsTheDead(t *testing.T) {
	spec := quick("web", 2)
	spec.Policy = control.OnFailure
	c := start(t, spec)
	c.last("web/1").Exit(0)
	c.await("worker.exited", "web/1")
	_, events := c.reload(control.ReloadRequest{}, control.JobOK)
	if d := cmp.Diff([]string{"replaced web/0", "replaced web/1", "summary"}, slices.Sorted(slices.Values(happened(events)))); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	if w := c.workers()["web/1"]; w.State != control.Ready || w.Generation != 2 {
		t.Errorf("web/1 is %s, generation %d", w.State, w.Generation)
	}
}

// TestCurrentDiesInReload: the successor takes its place all the same.
func TestCurrentDiesInReload(t *testing.T) {
	c := start(t, quick("web", 1))
	inHand, release := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	c.act(func(a *actor) {
		if once.CompareAndSwap(false, true) {
			close(inHand)
			<-release
		}
		a.serve()
	})
	j, err := c.ctl.Do(c.context(), control.ReloadRequest{}, nil)
	must(t, err)
	within(t, inHand)
	c.all("web/0")[0].Kill(syscall.SIGSEGV)
	c.await("worker.exited", "web/0")
	close(release)
	if j, _ := c.follow(j, nil); j.State != control.JobOK || len(c.all("web/0")) != 2 {
		t.Errorf("%s: %s, %d processes in all", j.State, j.Error, len(c.all("web/0")))
	}
}
