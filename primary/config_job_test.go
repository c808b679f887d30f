package primary

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

// fileOf is a configuration that a test changes while a cluster reads it.
type fileOf struct {
	mu  sync.Mutex
	now Configuration
}

func (f *fileOf) read() (Configuration, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.now
	c.Spec.Pools = slices.Clone(c.Spec.Pools)
	return c, nil
}

func (f *fileOf) set(pools ...control.PoolSpec) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now.Spec.Pools = pools
}

// startFile is start with a file.
func startFile(t *testing.T, pools ...control.PoolSpec) (*cluster, *fileOf) {
	t.Helper()
	c := newCluster(t, pools...)
	f := &fileOf{now: Configuration{Spec: c.cfg.Spec}}
	c.cfg.Reread = f.read
	c.run()
	c.await("cluster.ready", "")
	return c, f
}

func (c *cluster) configReload() (control.Job, []control.JobEvent, error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), soon)
	defer cancel()
	var events []control.JobEvent
	j, err := c.ctl.Do(ctx, control.ConfigRequest{}, func(e control.JobEvent) error {
		events = append(events, e)
		return nil
	})
	return j, events, err
}

// shape is what a cluster looks like: each pool with its target and generation.
func (c *cluster) shape() map[string][2]int {
	c.t.Helper()
	st, err := control.Get(c.t.Context(), c.ctl, control.StatusQuery{})
	must(c.t, err)
	all := make(map[string][2]int)
	for _, p := range st.Pools {
		all[p.Name] = [2]int{p.Ready, p.Generation}
	}
	return all
}

func orphaned(p control.PoolSpec) control.PoolSpec {
	p.Orphan = control.OrphanDrain // workers learn it when they start
	return p
}

// TestConfigReload: pools begin, change and end in one job.
func TestConfigReload(t *testing.T) {
	c, f := startFile(t, quick("web", 2), quick("old", 1), quick("same", 1))
	live := quick("same", 1)
	live.MaxRestarts = 9
	f.set(orphaned(quick("web", 3)), live, quick("api", 2))
	all, err := control.Get(t.Context(), c.ctl, control.ConfigQuery{})
	must(t, err)
	want := []control.PoolChanges{
		{Pool: "web", Workers: 2, Follows: control.FollowsReload, Changes: []control.Change{
			{Key: "workers", From: "2", To: "3", Follows: control.FollowsLive},
			{Key: "orphan", From: "serve", To: "drain", Follows: control.FollowsReload},
		}},
		{Pool: "old", Workers: 1, Follows: control.FollowsEnd, Changes: []control.Change{}},
		{Pool: "same", Workers: 1, Follows: control.FollowsLive, Changes: []control.Change{{Key: "max_restarts", From: "5", To: "9", Follows: control.FollowsLive}}},
		{Pool: "api", Workers: 2, Follows: control.FollowsBegin, Changes: []control.Change{}},
	}
	if d := cmp.Diff(want, all); d != "" {
		t.Errorf("difference (-want +got):\n%s", d)
	}
	j, events, err := c.configReload()
	if err != nil || j.State != control.JobOK {
		t.Fatal(j, events, err)
	}
	if d := cmp.Diff(map[string][2]int{"web": {3, 2}, "same": {1, 1}, "api": {2, 1}}, c.shape()); d != "" {
		t.Errorf("pools (-want +got):\n%s", d)
	}
	spec, err := control.Get(t.Context(), c.ctl, control.SpecQuery{})
	if err != nil || len(spec.Pools) != 3 || spec.Pools[1].MaxRestarts != 9 {
		t.Error(spec, err)
	}
	if all, err = control.Get(t.Context(), c.ctl, control.ConfigQuery{}); err != nil || len(all) > 0 {
		t.Error(all, err)
	}
}

// TestConfigReloadGoesBack: whatever part fails, all of it goes back.
func TestConfigReloadGoesBack(t *testing.T) {
	fails := func(pool string) func(*actor) {
		return func(a *actor) {
			if strings.HasPrefix(a.id(), pool+"/") {
				a.crash()
				return
			}
			a.serve()
		}
	}
	for name, test := range map[string]struct {
		part  func(*actor)
		cause string
		want  map[string][2]int
	}{
		"a new pool":       {fails("api"), "worker api/0 exited with status 3", map[string][2]int{"web": {2, 1}, "old": {1, 1}, "last": {1, 1}}},
		"a changed pool":   {fails("last"), "worker last/0", map[string][2]int{"web": {2, 3}, "old": {1, 1}, "last": {1, 1}}},
		"one worker more":  {on("web/2", func(a *actor) { a.crash() }), "worker web/2 exited with status 3", map[string][2]int{"web": {2, 3}, "old": {1, 1}, "last": {1, 3}}},
		"a new pool, late": {faintWhen("last/0"), "worker api/0 exited with status 4", map[string][2]int{"web": {2, 3}, "old": {1, 1}, "last": {1, 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			c, f := startFile(t, quick("web", 2), quick("old", 1), quick("last", 1))
			f.set(orphaned(quick("web", 3)), orphaned(quick("last", 1)), quick("api", 1))
			c.act(test.part)
			before, err := control.Get(t.Context(), c.ctl, control.SpecQuery{})
			must(t, err)
			j, events, err := c.configReload()
			if err != nil || j.State != control.JobFailed || !strings.Contains(j.Error, test.cause) || !strings.HasSuffix(j.Error, "everything is as it was") {
				t.Fatal(j, events, err)
			}
			if d := cmp.Diff(test.want, c.shape()); d != "" {
				t.Errorf("pools (-want +got):\n%s", d)
			}
			after, err := control.Get(t.Context(), c.ctl, control.SpecQuery{})
			must(t, err)
			if d := cmp.Diff(before, after); d != "" {
				t.Errorf("what it runs (-before +after):\n%s", d)
			}
		})
	}
}

// TestConfigReloadRefused: what it cannot take in is named, and changes nothing.
func TestConfigReloadRefused(t *testing.T) {
	web := quick("web", 1)
	web.Listen = []string{"tcp://127.0.0.1:0"}
	c, f := startFile(t, web)
	one := web
	one.Share = control.ShareOne
	admin := quick("shell", 1)
	admin.BuiltIn = true
	for name, test := range map[string]struct {
		pools []control.PoolSpec
		want  string
	}{
		"share":     {[]control.PoolSpec{one}, "web.share: it takes a stop and a start; nothing was changed"},
		"the shell": {[]control.PoolSpec{web, admin}, "shell: it takes a restart; nothing was changed"},
		"both":      {[]control.PoolSpec{one, admin}, "web.share, shell: it takes a stop and a start; nothing was changed"},
	} {
		f.set(test.pools...)
		if _, _, err := c.configReload(); !errors.Is(err, control.ErrConflict) || err.Error() != test.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	f.mu.Lock()
	f.now.Spec.Name = "other"
	f.mu.Unlock()
	f.set(web)
	if _, _, err := c.configReload(); !errors.Is(err, control.ErrConflict) || !strings.HasPrefix(err.Error(), "name: it takes a stop") {
		t.Error(err)
	}
	if d := cmp.Diff(map[string][2]int{"web": {1, 1}}, c.shape()); d != "" {
		t.Errorf("pools (-want +got):\n%s", d)
	}
}

// TestConfigReloadBusy: it has all pools, and each other job waits for its end.
func TestConfigReloadBusy(t *testing.T) {
	c, f := startFile(t, quick("web", 1))
	f.set(quick("web", 1), quick("api", 1))
	c.act(on("api/0", (*actor).slow))
	accepted := make(chan string, 1)
	ended := make(chan control.Job, 1)
	go func() {
		j, _ := c.ctl.Do(context.Background(), control.ConfigRequest{}, func(e control.JobEvent) error {
			if e.Event == control.StepAccepted {
				accepted <- e.Job.ID
			}
			return nil
		})
		ended <- j
	}()
	id := <-accepted
	for _, r := range []control.Request{control.ConfigRequest{}, control.ReloadRequest{}, control.ScaleRequest{Pool: "web", To: 2}} {
		if _, err := c.ctl.Do(t.Context(), r, nil); !errors.Is(err, control.ErrBusy) {
			t.Errorf("%T: %v", r, err)
		}
	}
	_, err := c.ctl.Do(t.Context(), control.CancelRequest{ID: id}, nil)
	must(t, err)
	select {
	case j := <-ended:
		if j.State != control.JobCancelled {
			t.Error(j)
		}
	case <-time.After(soon):
		t.Fatal("it does not end")
	}
	if d := cmp.Diff(map[string][2]int{"web": {1, 1}}, c.shape()); d != "" {
		t.Errorf("pools (-want +got):\n%s", d)
	}
}

// faintWhen lets a new pool prove itself, and end when another worker starts, which
// never becomes ready.
func faintWhen(starts string) func(*actor) {
	started := make(chan struct{})
	return func(a *actor) {
		switch a.id() {
		case starts:
			close(started)
			a.slow()
		case "api/0":
			if !a.join() {
				return
			}
			a.tell(ipc.TypeReady, nil)
			select {
			case <-started:
				a.Exit(4)
			case <-a.dead:
			}
		default:
			a.serve()
		}
	}
}
