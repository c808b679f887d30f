package commands

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
)

func TestSummary(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	web := control.PoolStatus{Name: "web", Target: 4, Ready: 4}
	change := func(by func(*control.PoolStatus)) control.PoolStatus { p := web; by(&p); return p }
	for want, pool := range map[string]control.PoolStatus{
		"well, 4 of 4 workers ready":                       web,
		"NOT WELL, 3 of 4 workers ready":                   change(func(p *control.PoolStatus) { p.Ready = 3 }),
		"NOT WELL, 3 of 4 workers ready, 1 dead":           change(func(p *control.PoolStatus) { p.Ready, p.Dead = 3, 1 }),
		"well, 3 of 4 workers ready, 1 stopped":            change(func(p *control.PoolStatus) { p.Ready, p.Stopped = 3, 1 }),
		"NOT WELL, 4 of 4 workers ready, 1 silent":         change(func(p *control.PoolStatus) { p.Silent = 1 }),
		"NOT WELL, 3 of 4 workers ready, 1 dead, 2 silent": change(func(p *control.PoolStatus) { p.Ready, p.Dead, p.Silent = 3, 1, 2 }),
		"well, 0 of 0 workers ready":                       change(func(p *control.PoolStatus) { p.BuiltIn, p.Silent = true, 1 }),
	} {
		status := control.Status{Primary: &control.Primary{PID: 1}, Pools: []control.PoolStatus{pool}}
		if got := Summary(status, now); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := Summary(control.Status{Pools: []control.PoolStatus{web}}, now); got != "no primary" {
		t.Errorf("without a primary: %q", got)
	}
	whole := control.Status{
		Primary: &control.Primary{PID: 7, Since: now.Add(-time.Hour)}, Pools: []control.PoolStatus{web},
		Jobs: []control.Job{{ID: "3", Kind: "reload", What: "web", Owner: "viola", State: control.JobRunning, Done: 1, Total: 4, Since: now.Add(-time.Minute)}},
	}
	want := "well, 4 of 4 workers ready, primary 7 up 1h 0m; job 3: reload web by viola, running, 1 of 4, 1m 0s ago"
	if got := Summary(whole, now); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWorkerNote(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	end := &control.Exit{Time: now.Add(-5 * time.Second), Code: 3, Uptime: time.Second}
	for want, w := range map[string]control.WorkerInfo{
		"": {ID: "web/1", State: control.Ready},
		`web/1 is dead: exit status 3 after 1s, 5s ago. next: log --worker web/1, then worker revive web/1`:                   {ID: "web/1", State: control.Dead, LastExit: end},
		`web/1 ends again and again, restarts: 4: exit status 3 after 1s, 5s ago. next: log --worker web/1`:                   {ID: "web/1", State: control.Backoff, Restarts: 4, LastExit: end},
		"web/1 is stopped by wish. next: worker revive web/1":                                                                 {ID: "web/1", State: control.Stopped},
		"web/1, pid 7, does not answer. next: it is replaced by itself, or worker restart web/1":                              {ID: "web/1", PID: 7, State: control.Ready, Silent: true},
		"web/1 has been starting for 1m 0s and is not ready. next: log --worker web/1":                                        {ID: "web/1", State: control.Starting, Up: time.Minute},
		"web/1: the old process, pid 5, generation 2, finishes what it has accepted. next: worker info web/1":                 {ID: "web/1", State: control.Ready, Outgoing: []control.Process{{PID: 5, Generation: 2}}},
		"web/1: the old process, pid 5, generation 2, finishes what it has accepted, for 8s at most. next: worker info web/1": {ID: "web/1", State: control.Ready, Outgoing: []control.Process{{PID: 5, Generation: 2, Cut: now.Add(8 * time.Second)}}},
		"web/1 ends again and again, restarts: 0: exit status -1: could not be started: start app: resource temporarily unavailable after 0s, 5s ago. next: end processes of this user, or let it have more (ulimit -u, pids.max of its cgroup)": {
			ID: "web/1", State: control.Backoff,
			LastExit: &control.Exit{Time: now.Add(-5 * time.Second), Code: -1, Reason: "could not be started: start app: resource temporarily unavailable"},
		},
	} {
		if diff := cmp.Diff(want, workerNote(w, now)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestStatusTellsOfTheDisk(t *testing.T) {
	f := hello()
	f.happen = []control.Event{
		{Time: time.Now().Add(-time.Hour), Kind: "pool.trouble", Text: "long ago"},
		{Time: time.Now().Add(-time.Minute), Kind: "cluster.trouble", Text: "write down what runs: no space left on device"},
	}
	got := newSession(t, f).do(t.Context(), "status").Out
	if !strings.HasSuffix(got, "1m 0s ago: write down what runs: no space left on device. next: make room where the state directory is\n") {
		t.Error(got)
	}
	f.happen = append(f.happen, control.Event{Time: time.Now(), Kind: "cluster.mended", Text: "what runs is written down again"})
	if got := newSession(t, f).do(t.Context(), "status").Out; strings.Contains(got, "no space left") {
		t.Errorf("it is over: %s", got)
	}
}

// What failed last is told until something succeeds.
func TestStatusTellsOfAJobThatFailed(t *testing.T) {
	f := hello()
	f.happen = []control.Event{{Time: time.Now().Add(-time.Minute), Kind: "job.ended", Job: "5", Text: "job 5: reload: failed: port taken; nothing was changed"}}
	got := newSession(t, f).do(t.Context(), "status").Out
	if !strings.HasSuffix(got, "\n1m 0s ago: job 5: reload: failed: port taken; nothing was changed. next: job follow 5\n") {
		t.Error(got)
	}
	f.happen = append(f.happen, control.Event{Time: time.Now(), Kind: "job.ended", Job: "6", Text: "job 6: reload: ok"})
	if got := newSession(t, f).do(t.Context(), "status").Out; strings.Contains(got, "job 5") {
		t.Errorf("it is over: %s", got)
	}
}

// Many workers with a note do not push the first line off the screen.
func TestStatusIsOneScreen(t *testing.T) {
	f := hello()
	for range 100 {
		f.workers = append(f.workers, control.WorkerInfo{ID: "web/9", State: control.Stopped})
	}
	got := newSession(t, f).do(t.Context(), "status").Out
	if n := strings.Count(got, "\n"); n > 24 || !strings.Contains(got, "and 93 more: worker list\n") {
		t.Errorf("%d lines:\n%s", n, got)
	}
}
