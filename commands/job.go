package commands

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/control"
)

func jobCommands() []Command {
	return []Command{
		{
			Name: "job list", Role: Viewer, Group: groupLook, Flags: watchFlags, Run: watched(jobList),
			Summary: "what runs, and what ended last",
		},
		{
			Name: "job follow", Role: Viewer, Group: groupLook, Run: jobFollow, Complete: first(anyJob),
			Flags: func(flags *pflag.FlagSet) {
				flags.Int("after", 0, "only what came after this `step`, counted from 1")
			},
			Usage: "ID", Summary: "show a job from its beginning to its end",
			Help: "Ends as the job ends. Ctrl-C ends the looking, not the job.",
		},
		{
			Name: "job cancel", Role: Operator, Group: groupChange, Flags: noFlags, Run: jobCancel, Complete: first(runningJob),
			Usage: "ID", Summary: "stop a job after the worker in hand",
		},
	}
}

func jobList(ctx context.Context, call *Call) error {
	if _, err := call.Words(0, 0); err != nil {
		return err
	}
	jobs, err := answer(ctx, call.Primary.Jobs)
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
	_, err = call.Out.Write([]byte(call.table(
		[]string{"ID", "KIND", "WHAT", "OWNER", "STATE", "DONE", "BEGAN", "TOOK"}, rows,
		func(row, column int) style {
			if column != 4 {
				return normal
			}
			return jobStyle(jobs[row].State)
		},
	)))
	return err
}

func jobRow(j control.Job, now time.Time) []string {
	end := j.Ended
	if end.IsZero() {
		end = now
	}
	return []string{
		j.ID, j.Kind, dash(j.What), dash(j.Owner), string(j.State), fmt.Sprintf("%d/%d", j.Done, j.Total),
		j.Since.Local().Format(stamp), age(end.Sub(j.Since)),
	}
}

func jobFollow(ctx context.Context, call *Call) error {
	ids, err := call.Words(1, 1)
	if err != nil {
		return err
	}
	after, err := call.Flags().GetInt("after")
	if err != nil {
		return err
	}
	return call.followAfter(ctx, ids[0], false, after)
}

// jobCancel waits until the job has ended and tells where that leaves the
// workers, which is what the next command depends on.
func jobCancel(ctx context.Context, call *Call) error {
	ids, err := call.Words(1, 1)
	if err != nil {
		return err
	}
	job, err := answer(ctx, func(ctx context.Context) (control.Job, error) {
		return call.Primary.CancelJob(ctx, ids[0])
	})
	if err != nil {
		return err
	}
	if job.State == control.JobRunning {
		if job, err = call.waitJob(ctx, ids[0]); err != nil {
			return err
		}
	}
	if job.State != control.JobCancelled {
		return &Error{Code: "not_cancelled", Message: fmt.Sprintf("job %s had ended: %s", job.ID, job.State)}
	}
	if call.JSON {
		return call.WriteJSON(map[string]any{"job": viewJobs([]control.Job{job})[0]})
	}
	text := job.Error
	if text == "" {
		text = fmt.Sprintf("job %s: %s", job.ID, job.State)
	}
	call.Printf("%s\n", Safe(text))
	return nil
}

func (c *Call) waitJob(ctx context.Context, id string) (control.Job, error) {
	ctx, cancel := context.WithTimeout(ctx, cancelledWithin)
	defer cancel()
	return c.Primary.FollowJob(ctx, id, func(control.JobEvent) error { return nil })
}
