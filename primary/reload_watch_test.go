package primary

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
)

// watched reloads a cluster and returns when the job only watches.
func (c *cluster) watched(r control.ReloadRequest) control.Job {
	c.t.Helper()
	j, err := c.ctl.Do(c.context(), r, nil)
	must(c.t, err)
	_, err = c.ctl.Do(c.context(), control.FollowRequest{ID: j.ID}, func(e control.JobEvent) error {
		if strings.Contains(e.Text, ": watching it for ") {
			return errWatches
		}
		return nil
	})
	if err != errWatches {
		c.t.Fatalf("follow: %v", err)
	}
	return j
}

var errWatches = &control.Error{Code: "watches"}

// TestWatchRollsBack: a worker that crashes after the last replacement takes the
// new generation with it.
func TestWatchRollsBack(t *testing.T) {
	c := start(t, quick("web", 2))
	j := c.watched(control.ReloadRequest{Watch: time.Hour})
	c.last("web/1").Exit(3)
	j, events := c.follow(j, nil)
	want := "generation 2 crashed once, generation 1 never in the 1h0m0s before: last worker web/1; web/0, web/1 run generation 1"
	if j.State != control.JobFailed || j.Error != want {
		t.Errorf("%s: %q, want %q", j.State, j.Error, want)
	}
	if d := cmp.Diff([]int{1, 1}, c.generations()); d != "" {
		t.Errorf("generations (-want +got):\n%s; events %v", d, happened(events))
	}
	all, err := control.Get(c.context(), c.ctl, control.GenerationsQuery{})
	must(t, err)
	if all[1].Outcome != control.Failed || !strings.Contains(all[1].Why, "crashed once") {
		t.Errorf("generation 2: %s: %s", all[1].Outcome, all[1].Why)
	}
}

// TestWatchAllows: what crashed as often before is no worse.
func TestWatchAllows(t *testing.T) {
	c := start(t, quick("web", 2))
	c.last("web/0").Exit(3)
	c.await("worker.ready", "web/0")
	j := c.watched(control.ReloadRequest{Watch: time.Hour})
	c.last("web/1").Exit(3)
	c.await("worker.exited", "web/1")
	c.await("worker.ready", "web/1")
	if jobs, err := control.Get(c.context(), c.ctl, control.JobsQuery{}); err != nil || jobs[0].State != control.JobRunning {
		t.Fatalf("after as many crashes as before: %v, %v", jobs, err)
	}
	c.last("web/1").Exit(3)
	if j, _ = c.follow(j, nil); j.State != control.JobFailed {
		t.Errorf("after one more: %s", j.State)
	}
}

func TestWatchEnds(t *testing.T) {
	spec := quick("web", 2)
	spec.Watch = 20 * time.Millisecond
	c := start(t, spec)
	j := c.watched(control.ReloadRequest{})
	if j, _ = c.follow(j, nil); j.State != control.JobOK {
		t.Errorf("%s: %s", j.State, j.Error)
	}
	_, events := c.reload(control.ReloadRequest{Watch: control.NoWatch}, control.JobOK)
	for _, e := range events {
		if strings.Contains(e.Text, "watching") {
			t.Errorf("watches although it should not: %s", e.Text)
		}
	}
}

// TestWatchCancelled: only the watching ends.
func TestWatchCancelled(t *testing.T) {
	c := start(t, quick("web", 2))
	j := c.watched(control.ReloadRequest{Watch: time.Hour})
	_, err := c.ctl.Do(c.context(), control.CancelRequest{ID: j.ID}, nil)
	must(t, err)
	j, _ = c.follow(j, nil)
	want := "cancelled: it is no longer watched; web/0, web/1 run generation 2"
	if j.State != control.JobCancelled || j.Error != want {
		t.Errorf("%s: %q, want %q", j.State, j.Error, want)
	}
	st, err := control.Get(c.context(), c.ctl, control.StatusQuery{})
	must(t, err)
	if st.Pools[0].Generation != 2 {
		t.Errorf("the pool's generation is %d", st.Pools[0].Generation)
	}
}

// TestGivenUpInReload: a slot that is given up on the new generation fails the
// reload, watched or not.
func TestGivenUpInReload(t *testing.T) {
	spec := quick("web", 2)
	spec.MaxRestarts = 1
	c := start(t, spec)
	inHand := make(chan struct{})
	release := make(chan struct{})
	c.act(on("web/1", func(a *actor) { close(inHand); <-release; a.serve() }))
	j, err := c.ctl.Do(c.context(), control.ReloadRequest{}, nil)
	must(t, err)
	within(t, inHand)
	c.act(failing("web/0", 2))
	c.last("web/0").Exit(3)
	for !strings.Contains(c.await("worker.dead", "web/0").Text, "dead") {
	}
	close(release)
	j, _ = c.follow(j, nil)
	if j.State != control.JobFailed || !strings.Contains(j.Error, "generation 2: web/0 exited with status 3") {
		t.Errorf("%s: %s", j.State, j.Error)
	}
	if d := cmp.Diff([]int{1, 1}, c.generations()); d != "" {
		t.Errorf("generations (-want +got):\n%s", d)
	}
}

// TestCrashesWithin: of a count since a moment as many are taken to be of the
// last part of that time as it is long.
func TestCrashesWithin(t *testing.T) {
	now := time.Now()
	tests := map[string]struct {
		c    crashes
		want int
	}{
		"none":         {crashes{}, 0},
		"all of them":  {crashes{Count: 3, Since: now.Add(-30 * time.Second), Last: now}, 3},
		"half of them": {crashes{Count: 4, Since: now.Add(-2 * time.Minute), Last: now}, 2},
		"long ago":     {crashes{Count: 4, Since: now.Add(-3 * time.Minute), Last: now.Add(-2 * time.Minute)}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := &pool{slots: []*slot{{slotState: slotState{crashes: test.c}}, {}}}
			if got := p.crashesWithin(time.Minute); got != test.want {
				t.Errorf("%d, want %d", got, test.want)
			}
		})
	}
}
