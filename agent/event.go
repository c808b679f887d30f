package agent

import (
	"context"
	"strings"

	"github.com/norestart/norestart/control"
)

// poolOf is the pool of a worker: of "web/2", "web".
func poolOf(worker string) string {
	pool, _, _ := strings.Cut(worker, "/")
	return pool
}

// jobOf is the job that an event tells of; false: the event tells of none, or it
// is not known any more.
func jobOf(ctx context.Context, c control.Control, e control.Event) (control.Job, bool) {
	if e.Job == "" {
		return control.Job{}, false
	}
	jobs, _ := control.Get(ctx, c, control.JobsQuery{}) // without a primary there are none
	for _, j := range jobs {
		if j.ID == e.Job {
			return j, true
		}
	}
	return control.Job{}, false
}

// namesOf are the names of an event for hooks: its kind, and how which kind of job
// ended, as in reload.failed.
func namesOf(ctx context.Context, c control.Control, e control.Event) []string {
	names := []string{string(e.Kind)}
	if e.Kind != control.EventJobEnded {
		return names
	}
	if j, ok := jobOf(ctx, c, e); ok {
		names = append(names, j.End())
	}
	return names
}
