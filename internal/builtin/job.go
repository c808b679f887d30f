package builtin

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

func jobCommands() []commands.Command {
	return []commands.Command{
		{
			Name: "job list", Role: commands.Viewer, Group: groupLook, Flags: watchFlags, Run: watched(0, 0, jobList),
			Summary: "jobs that run, and those that ended last",
		},
		{
			Name: "job follow", Role: commands.Viewer, Group: groupLook, Run: run(1, 1, jobFollow), Complete: first(anyJob),
			Flags: func(flags *pflag.FlagSet) {
				flags.Int("after", 0, "only what came after this `step` (the first is 1)")
			},
			Usage: "ID", Summary: "show a job from its beginning to its end",
			Help: "The exit status is that of the job. Ctrl-C stops following; the job goes on.",
		},
		{
			Name: "job cancel", Ends: true, Role: commands.Operator, Group: groupChange, Flags: noFlags, Run: run(1, 1, jobCancel), Complete: first(runningJob),
			Usage: "ID", Summary: "stop a job after the current worker",
		},
	}
}

func jobList(ctx context.Context, call *Call) error {
	jobs, err := get(ctx, call.Primary, control.JobsQuery{})
	if err != nil {
		return err
	}
	if call.JSON {
		return call.WriteJSON(map[string]any{"jobs": viewJobs(jobs)})
	}
	var rows [][]string
	for _, j := range jobs {
		rows = append(rows, jobRow(j, time.Now()))
	}
	return call.write(call.table(
		[]string{"ID", "KIND", "WHAT", "OWNER", "STATE", "DONE", "BEGAN", "TOOK"}, rows,
		func(row, column int) style {
			if column != 4 {
				return normal
			}
			return jobStyle(jobs[row].State)
		},
	))
}

func jobRow(j control.Job, now time.Time) []string {
	end := j.Ended
	if end.IsZero() {
		end = now
	}
	return []string{
		j.ID, j.Kind, dash(j.What), dash(j.Owner), string(j.State), fmt.Sprintf("%d/%d", j.Done, j.Total),
		j.Since.Local().Format(stamp), took(end.Sub(j.Since)),
	}
}

func jobFollow(ctx context.Context, call *Call) error {
	f := &follower{call: call, after: call.number("after")}
	return f.follow(ctx, control.FollowRequest{ID: call.Args[1]})
}

// jobCancel waits until the job has ended and tells how that leaves the workers,
// because the next command depends on it.
func jobCancel(ctx context.Context, call *Call) error {
	id := call.Args[1]
	job, err := answer(ctx, func(ctx context.Context) (control.Job, error) {
		return call.Primary.Do(ctx, control.CancelRequest{ID: id}, nil)
	})
	if err != nil {
		return err
	}
	if job.State == control.JobRunning {
		if job, err = call.waitJob(ctx, id); err != nil {
			return err
		}
	}
	if job.State != control.JobCancelled {
		return &control.Error{Code: "not_cancelled", Message: fmt.Sprintf("job %s had ended: %s", job.ID, job.State)}
	}
	if call.JSON {
		return call.WriteJSON(map[string]any{"job": viewJobs([]control.Job{job})[0]})
	}
	text := job.Error
	if text == "" {
		text = fmt.Sprintf("job %s: %s", job.ID, job.State)
	}
	call.Printf("%s\n", commands.Safe(text))
	return nil
}

func (c *Call) waitJob(ctx context.Context, id string) (control.Job, error) {
	ctx, cancel := context.WithTimeout(ctx, cancelledWithin)
	defer cancel()
	return c.Primary.Do(ctx, control.FollowRequest{ID: id}, func(control.JobEvent) error { return nil })
}
