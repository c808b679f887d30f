package primary

import (
	"context"
	"fmt"
	"testing"

	"github.com/norestart/norestart/control"
)

// TestLongJobKeepsItsLastEvents: who follows it learns how it went.
func TestLongJobKeepsItsLastEvents(t *testing.T) {
	j := &job{story: newStory()}
	next, seen := uint64(1), 0
	for i := range keptJobEvents + 100 {
		j.note("%d", i)
		events, _, after := j.story.read(next)
		if len(events) != 1 || events[0].Text != fmt.Sprint(i) {
			t.Fatalf("after %d: %+v", i, events)
		}
		next, seen = after, events[0].Seq
	}
	late := j.events()
	if n := len(late); n != keptJobEvents || late[n-1].Text != fmt.Sprint(keptJobEvents+99) {
		t.Errorf("%d are kept, the last is %+v", n, late[n-1])
	}
	l := &loop{im: &image{}} // an image lacks nothing
	again := l.resumedJob(jobRecord{Job: control.Job{ID: "1", State: control.JobRunning}, Events: late})
	again.note("next")
	if events := again.events(); len(events) != keptJobEvents || events[keptJobEvents-1].Seq != seen+1 {
		t.Errorf("after an exec: %+v", events[len(events)-1])
	}
}

// TestEndIsTold: one who follows a job learns its last event and its end, although
// the primary ends in the same moment.
func TestEndIsTold(t *testing.T) {
	j := &job{Job: control.Job{ID: "1", State: control.JobRunning}, story: newStory()}
	j.note("first")
	ctx, cancel := context.WithCancel(t.Context())
	var told []string
	got, err := caller{}.follow(ctx, accepted{story: j.story}, func(e control.JobEvent) error {
		if told = append(told, e.Text); e.Text == "first" {
			j.note("last")
			j.State = control.JobOK
			j.story.end(j.value())
			cancel()
		}
		return nil
	})
	if err != nil || got.State != control.JobOK || len(told) != 2 {
		t.Errorf("job %q, events %q, %v", got.State, told, err)
	}
}
