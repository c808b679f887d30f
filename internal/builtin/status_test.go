package builtin

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
)

func TestGreeting(t *testing.T) {
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
		"NOT WELL, 0 of 0 workers ready, 1 silent":         change(func(p *control.PoolStatus) { p.BuiltIn, p.Silent = true, 1 }),
	} {
		status := control.Status{Primary: &control.Primary{PID: 1}, Pools: []control.PoolStatus{pool}}
		if got := Greeting(status, now); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := Greeting(control.Status{Pools: []control.PoolStatus{web}}, now); got != "no primary" {
		t.Errorf("without a primary: %q", got)
	}
	whole := control.Status{
		Primary: &control.Primary{PID: 7, Since: now.Add(-time.Hour)}, Pools: []control.PoolStatus{web},
		Jobs: []control.Job{{ID: "3", Kind: "reload", What: "web", Owner: "viola", State: control.JobRunning, Done: 1, Total: 4, Since: now.Add(-time.Minute)}},
	}
	want := "well, 4 of 4 workers ready, primary 7 up 1h 0m; job 3: reload web by viola, running, 1 of 4, 1m 0s ago"
	if got := Greeting(whole, now); got != want {
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
		"web/1 was stopped by an operator. next: worker revive web/1":                                                         {ID: "web/1", State: control.Stopped},
		"web/1, pid 7, does not answer. next: wait until it is replaced, or worker restart web/1":                             {ID: "web/1", PID: 7, State: control.Ready, Silent: true},
		"web/1 has been starting for 1m 0s and is not ready. next: log --worker web/1":                                        {ID: "web/1", State: control.Starting, Up: time.Minute},
		"web/1: the old process, pid 5, generation 2, finishes what it has accepted. next: worker info web/1":                 {ID: "web/1", State: control.Ready, Outgoing: []control.Process{{PID: 5, Generation: 2}}},
		"web/1: the old process, pid 5, generation 2, finishes what it has accepted, for 8s at most. next: worker info web/1": {ID: "web/1", State: control.Ready, Outgoing: []control.Process{{PID: 5, Generation: 2, Cut: now.Add(8 * time.Second)}}},
		"web/1 ends again and again, restarts: 0: exit status -1: could not be started: start app: resource temporarily unavailable after 0s, 5s ago. next: end processes of this user, or raise its limit (ulimit -u, pids.max of its cgroup)": {
			ID: "web/1", State: control.Backoff,
			LastExit: &control.Exit{Time: now.Add(-5 * time.Second), Code: -1, Reason: "could not be started: start app: resource temporarily unavailable"},
		},
	} {
		if diff := cmp.Diff(want, workerNote([]control.WorkerInfo{w}, control.PoolStatus{}, now)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestStatusTellsOfTheDisk(t *testing.T) {
	f := hello()
	f.happen = []control.Event{
		{Time: time.Now().Add(-time.Hour), Kind: "pool.trouble", Text: "long ago"},
		{Time: time.Now().Add(-time.Minute), Kind: "cluster.trouble", Text: "write the record: no space left on device"},
	}
	got := newSession(t, f).do(t.Context(), "status").Out
	if !strings.HasSuffix(got, "1m 0s ago: write the record: no space left on device. next: make room where the state directory is\n") {
		t.Error(got)
	}
	f.happen = append(f.happen, control.Event{Time: time.Now(), Kind: "cluster.mended", Text: "the record is written again"})
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
	for i := range 100 {
		f.workers = append(f.workers, control.WorkerInfo{ID: fmt.Sprintf("web/%d", 10+i), State: control.Stopped})
	}
	got := newSession(t, f).do(t.Context(), "status").Out
	if n := strings.Count(got, "\n"); n > 24 || !strings.Contains(got, "and 93 more: worker list\n") {
		t.Errorf("%d lines:\n%s", n, got)
	}
}

// TestStatusOfABadGeneration: what is advised is the way back, and not to start
// again what has failed.
func TestStatusOfABadGeneration(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	failed := &control.Verdict{Generation: 2, Outcome: control.Failed, Why: "web/1 exited with status 2", Time: now.Add(-time.Minute)}
	back := control.PoolStatus{Name: "web", Generation: 2, Target: 2, Dead: 2, Failing: failed, Back: 1}
	dead := control.WorkerInfo{ID: "web/1", Pool: "web", State: control.Dead}
	stamped := failed.Time.Local().Format(stamp)
	for want, got := range map[string]string{
		"generation 2 fails: rollback web":                         cureOfDead(back),
		"worker revive":                                            cureOfDead(control.PoolStatus{Name: "web", Generation: 2, Dead: 2, Failing: failed}),
		"web/1 is dead. next: rollback web, or log --worker web/1": workerNote([]control.WorkerInfo{dead}, back, now),
		"reload": reloads(back, now),
		"this is generation 2, which failed at " + stamped + ", 1m 0s ago: web/1 exited with status 2. next: change it, then reload": reloads(control.PoolStatus{Tried: failed}, now),
	} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// Workers that end for one reason are one line, whatever else they wrote.
func TestStatusGroupsByReason(t *testing.T) {
	f := hello()
	f.workers = nil
	for i := range 8 {
		end := &control.Exit{Time: time.Now().Add(-time.Duration(5+i) * time.Second), Code: 2, Uptime: 3 * time.Second, Cause: "panic: late crash: nil config", Lines: []string{"goroutine 7"}}
		w := control.WorkerInfo{ID: fmt.Sprintf("web/%d", i), Pool: "web", State: control.Dead, Restarts: 5, LastExit: end}
		switch i {
		case 5:
			end.Cause = "panic: late crash: nil config in web/5"
		case 4:
			end.Cause = "panic: late crash: nil config in web/4"
		case 6:
			w.State = control.Backoff
		case 7:
			end.Cause = "no licence"
		}
		f.workers = append(f.workers, w)
	}
	f.status.Pools[0].LastFailure = "web/5 exited with status 2 after 3s: panic: late crash: nil config"
	_, notes, _ := strings.Cut(newSession(t, f).do(t.Context(), "status").Out, "LISTEN\n")
	want := lines(
		"4 workers of web are dead: exit status 2 after 3s, 5s ago: panic: late crash: nil config. next: log --worker web/0, then worker revive",
		"2 workers of web are dead: exit status 2 after 3s, 9s ago: panic: late crash: nil config in web/4. next: log --worker web/4, then worker revive",
		"web/6 ends again and again, restarts: 5: exit status 2 after 3s, 11s ago: panic: late crash: nil config. next: log --worker web/6",
		"web/7 is dead: exit status 2 after 3s, 12s ago: no licence. next: log --worker web/7, then worker revive web/7",
		"2 sources may not connect to the admin port. next: session blocked")
	if _, notes, _ = strings.Cut(notes, "-\n"); notes != want {
		t.Error(cmp.Diff(want, notes))
	}
}

// Where workers crash again and again, the way back to a good generation is told.
func TestStatusTellsOfTheWayBack(t *testing.T) {
	f := hello()
	pool := &f.status.Pools[0]
	pool.Crashes, pool.Back = crashed(2), 2
	f.workers[1].State = control.Ready
	for range 2 {
		if got := newSession(t, f).do(t.Context(), "status").Out; !strings.Contains(got, "next: log --worker web/1, or rollback web, to generation 2\n") {
			t.Error(got)
		}
		f.workers[1].State = control.Backoff
	}
	pool.Failing = &control.Verdict{Generation: 3, Outcome: control.Failed} // a line of its own
	if got := newSession(t, f).do(t.Context(), "status").Out; strings.Contains(got, "or rollback") {
		t.Error(got)
	}
}

// A crash is told, also of a worker that runs again.
func TestStatusTellsOfACrash(t *testing.T) {
	for times, want := range map[int]string{
		1: "web/1 crashed 5s ago: panic: \\x1b[2Joh. next: log --worker web/1\n",
		2: "\nweb/1 crashed last. next: log --worker web/1\n",
	} {
		f := hello()
		f.workers[1].State, f.status.Pools[0].Crashes = control.Ready, crashed(times)
		if got := newSession(t, f).do(t.Context(), "status").Out; !strings.Contains(got, want) {
			t.Errorf("%d: %s", times, got)
		}
		f.workers[1].State = control.Dead
		if got := newSession(t, f).do(t.Context(), "status").Out; strings.Contains(got, want) {
			t.Errorf("%d, told twice: %s", times, got)
		}
	}
}
