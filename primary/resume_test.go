package primary

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

// interrupted is a reload of web to generation 2 in the record.
func (l *survivors) interrupted(canary, undoing bool, lines ...string) {
	p := l.pool()
	g := p.Generations[0]
	g.Number = 2
	p.Generations, p.LastGen = append(p.Generations, g), 2
	job := control.Job{ID: "4", Kind: "reload", Pools: []string{"web"}, Owner: "viola", Since: time.Now(), State: control.JobRunning, Total: 3, Done: len(lines)}
	c := cycleRecord{Pool: "web", Begun: true, From: 1, To: 2, Canary: canary, Undoing: undoing, Total: 3, Counted: len(lines)}
	if undoing {
		c.Cause = "worker web/2: generation 2 exited with status 3"
	}
	r := jobRecord{Job: job, Cycles: []cycleRecord{c}}
	for i, id := range lines {
		r.Events = append(r.Events, control.JobEvent{Seq: i + 1, Event: "replaced", Worker: id, Generation: 2, OK: true})
	}
	l.record.Jobs = append(l.record.Jobs, r)
}

// of is a survivor of a generation, and how the record names it.
func (l *survivors) of(gen, slot int, inc uint64) (*actor, *processRecord) {
	a := l.survivor(slot, gen, inc)
	r := a.registered(true)
	r.Gen = gen
	l.comeBack(a, ready)
	return a, r
}

// resumed starts the next primary and follows the job to its end.
func (l *survivors) resumed() (control.Job, []control.JobEvent) {
	l.t.Helper()
	l.start()
	l.await("job.resumed", "")
	return l.follow(control.Job{ID: "4"}, nil)
}

// TestResumeBeforeTheCanary: the successors retire, nothing is changed.
func TestResumeBeforeTheCanary(t *testing.T) {
	l := newSurvivors(t, aged("web", 3))
	for i := range 3 {
		_, l.pool().Slots[i].Cur = l.of(1, i, uint64(11+i))
	}
	canary, r := l.of(2, 0, 14)
	l.pool().Slots[0].Next = r
	l.interrupted(false, false)
	j, _ := l.resumed()
	if j.State != control.JobFailed || !strings.Contains(j.Error, "primary was replaced before the first worker had proved itself; nothing was changed") {
		t.Errorf("%s: %s", j.State, j.Error)
	}
	within(t, canary.dead)
	if d := cmp.Diff([]uint64{11, 12, 13}, l.incarnations()); d != "" {
		t.Errorf("incarnations (-want +got):\n%s", d)
	}
	l.reload(control.ReloadRequest{}, control.JobOK)
	if d := cmp.Diff([]int{3, 3, 3}, l.generations()); d != "" {
		t.Errorf("generations after the next reload (-want +got):\n%s", d)
	}
}

// TestResumeAfterTheCanary: it goes on, and each slot has its line once.
func TestResumeAfterTheCanary(t *testing.T) {
	l := newSurvivors(t, aged("web", 4))
	_, l.pool().Slots[0].Cur = l.of(2, 0, 15) // done, its line is printed
	_, l.pool().Slots[1].Cur = l.of(2, 1, 16) // serves, but its line is not
	l.pool().Slots[0].Gen, l.pool().Slots[1].Gen = 2, 2
	_, l.pool().Slots[2].Cur = l.of(1, 2, 13)
	_, l.pool().Slots[2].Next = l.of(2, 2, 17) // prepared
	_, l.pool().Slots[3].Cur = l.of(1, 3, 14)  // not touched
	l.interrupted(true, false, "web/0")
	j, events := l.resumed()
	if j.State != control.JobOK || j.Done != 4 {
		t.Errorf("%s: %s, %d done", j.State, j.Error, j.Done)
	}
	want := []string{"replaced web/0", "replaced web/1", "replaced web/2", "replaced web/3", "summary"}
	if d := cmp.Diff(want, slices.Sorted(slices.Values(happened(events)))); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	if got := l.incarnations(); !slices.Equal(got[:3], []uint64{15, 16, 17}) || got[3] <= 1000 {
		t.Errorf("incarnations %v", got)
	}
	if d := cmp.Diff([]int{2, 2, 2, 2}, l.generations()); d != "" {
		t.Errorf("generations (-want +got):\n%s", d)
	}
}

// TestResumeTheUndoing: slots that were being brought back are.
func TestResumeTheUndoing(t *testing.T) {
	l := newSurvivors(t, aged("web", 3))
	_, l.pool().Slots[0].Cur = l.of(2, 0, 15) // not yet back
	_, l.pool().Slots[1].Cur = l.of(2, 1, 16)
	_, l.pool().Slots[1].Next = l.of(1, 1, 17) // the old content again, prepared
	_, l.pool().Slots[2].Cur = l.of(1, 2, 13)
	l.pool().Slots[0].Gen, l.pool().Slots[1].Gen = 2, 2
	l.interrupted(true, true, "web/0", "web/1")
	j, _ := l.resumed()
	if j.State != control.JobFailed || !strings.Contains(j.Error, "web/0, web/1, web/2 run generation 1") {
		t.Errorf("%s: %s", j.State, j.Error)
	}
	if d := cmp.Diff([]int{1, 1, 1}, l.generations()); d != "" {
		t.Errorf("generations (-want +got):\n%s", d)
	}
	if got := l.incarnations(); got[0] <= 1000 || got[1] != 17 || got[2] != 13 {
		t.Errorf("incarnations %v", got)
	}
}

// TestCanaryDiedMeanwhile: nobody saw how, and it is a failure all the same.
func TestCanaryDiedMeanwhile(t *testing.T) {
	l := newSurvivors(t, aged("web", 1))
	_, l.pool().Slots[0].Cur = l.of(1, 0, 11)
	a := l.survivor(0, 2, 12)
	l.pool().Slots[0].Next = a.registered(false)
	a.Exit(1)
	within(t, a.dead)
	l.interrupted(false, false)
	j, _ := l.resumed()
	if j.State != control.JobFailed {
		t.Errorf("%s: %s", j.State, j.Error)
	}
	if d := cmp.Diff([]uint64{11}, l.incarnations()); d != "" {
		t.Errorf("incarnations (-want +got):\n%s", d)
	}
}

// TestLostJob: what cannot go on leaves no successor behind that would keep its
// slot from the next reload.
func TestLostJob(t *testing.T) {
	l := newSurvivors(t, aged("web", 1))
	_, l.pool().Slots[0].Cur = l.of(1, 0, 11)
	next, r := l.of(1, 0, 12)
	l.pool().Slots[0].Next = r
	l.record.Jobs = []jobRecord{{Job: control.Job{ID: "4", Kind: "worker restart", State: control.JobRunning}, Cycles: []cycleRecord{{Pool: "web", Begun: true, From: 1, To: 1, Again: true}}}}
	l.start()
	l.await("job.lost", "")
	within(t, next.dead)
	l.reload(control.ReloadRequest{}, control.JobOK)
}

// TestDepartedCluster: one that was stopped on purpose begins anew, with the
// numbers of its generations going on.
func TestDepartedCluster(t *testing.T) {
	l := newSurvivors(t, quick("web", 2))
	l.record.Stopped = true
	l.pool().Target, l.pool().Slots = 7, nil
	l.start()
	l.await("cluster.ready", "")
	if n := len(l.generations()); n != 2 {
		t.Errorf("%d workers: the target of the last life is over", n)
	}
	if data, err := ipc.Encode(l.record); err != nil || len(data) == 0 {
		t.Error(err)
	}
}

// TestAnEndedJobIsOnRecord: who has been told that a job has ended may kill the
// primary at once, and the next one must not do it again.
func TestAnEndedJobIsOnRecord(t *testing.T) {
	c := start(t, quick("web", 2))
	for range 5 {
		j, _ := c.reload(control.ReloadRequest{}, control.JobOK)
		r, err := loadRecord(c.cfg.State)
		must(t, err)
		if len(r.Jobs) != 0 || len(r.Ended) == 0 || r.Ended[len(r.Ended)-1].Job.ID != j.ID {
			t.Fatalf("job %s: %d jobs run in the record, %d have ended", j.ID, len(r.Jobs), len(r.Ended))
		}
	}
}

// TestEventsAfterACrashAreNew: the record may lack events that were told, so
// whoever has seen some more than it holds must not take a new one for one of
// those.
func TestEventsAfterACrashAreNew(t *testing.T) {
	l := newSurvivors(t, aged("web", 3))
	for i := range 2 {
		_, l.pool().Slots[i].Cur = l.of(2, i, uint64(11+i))
		l.pool().Slots[i].Gen = 2
	}
	_, l.pool().Slots[2].Cur = l.of(1, 2, 13)
	l.interrupted(true, false, "web/0", "web/1")
	_, events := l.resumed()
	const told = 500 // what a follower may have seen
	fresh := slices.DeleteFunc(slices.Clone(events), func(e control.JobEvent) bool { return e.Seq <= told })
	if d := cmp.Diff([]string{"replaced web/2", "summary"}, happened(fresh)); d != "" || len(events) != 4 {
		t.Errorf("new events (-want +got):\n%s\nof %v", d, happened(events))
	}
}
