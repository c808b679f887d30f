package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/norestart/norestart/control"
)

const (
	// acceptWithin is how long the cluster may take to accept a job.
	acceptWithin = 30 * time.Second
	// cancelWithin is how long it may take to take note of a cancel.
	cancelWithin = 5 * time.Second
	// cancelledWithin is how long a cancelled job is waited for: the worker in
	// hand may become ready, or drain and be killed, within its deadlines.
	cancelledWithin = 2 * time.Minute
)

// errStillRunning is the cause when a cancelled job did not end in time.
var errStillRunning = errors.New("still running")

// begin starts a job and follows it, or prints its id with --detach.
func (c *Call) begin(ctx context.Context, start func(context.Context) (control.Job, error)) error {
	accepting, cancel := context.WithTimeout(ctx, acceptWithin)
	defer cancel()
	job, err := start(accepting)
	if err != nil {
		if accepting.Err() != nil { // it may have been accepted all the same
			f := failure(ctx, err)
			f.Message, f.quiet = c.Args[0]+": no answer; it may have been accepted", false
			f.Hint = "job list"
			return f
		}
		return err
	}
	detach, err := c.Flags().GetBool("detach")
	if err != nil {
		return err
	}
	if detach {
		return c.writeJobID(job.ID)
	}
	return c.follow(ctx, job.ID, true)
}

// narrates reports whether a person is told how the command's job goes on.
func (c *Call) narrates() bool {
	detach, err := c.Flags().GetBool("detach")
	return err == nil && !detach && !c.JSON
}

func (c *Call) writeJobID(id string) error {
	if c.JSON {
		return c.WriteJSON(map[string]string{"job": id})
	}
	c.Printf("%s\n", Safe(id))
	return nil
}

// follower shows a job as it goes.
type follower struct {
	call   *Call
	id     string
	after  int              // events up to this one are not shown
	bars   *progress        // nil: none are shown
	failed control.JobEvent // the last event of a worker that failed
}

// follow shows the events of a job and returns how it ended. If the job is the
// user's own, a cancelled ctx cancels it (see [ErrHangup] for when not) and it
// is followed to its end.
func (c *Call) follow(ctx context.Context, id string, own bool) error {
	return c.followAfter(ctx, id, own, 0)
}

// followAfter is follow from behind an event on.
func (c *Call) followAfter(ctx context.Context, id string, own bool, after int) error {
	f := &follower{call: c, id: id, after: after}
	if text := c.mark("job", id); text != "" {
		_, _ = io.WriteString(c.Out, text) // a write that fails ends the command
	}
	following, leave := context.WithCancelCause(ctx)
	if own {
		following, leave = context.WithCancelCause(context.WithoutCancel(ctx))
	}
	defer leave(nil)
	f.bars = c.watchJob(following, id)
	interrupted := make(chan struct{})
	calm := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		if own {
			f.interrupt(ctx, following, leave)
		}
	})
	job, err := c.Primary.FollowJob(following, id, f.show)
	f.bars.end()
	cause := context.Cause(following)
	if !calm() {
		leave(nil)
		<-interrupted
	}
	if err != nil {
		return f.lost(err, cause)
	}
	return f.end(job)
}

// interrupt runs when ctx is done while the job is followed: it cancels the
// job, if that is what was meant, and bounds the wait for its end.
func (f *follower) interrupt(ctx, following context.Context, leave context.CancelCauseFunc) {
	if cause := context.Cause(ctx); !wished(cause) {
		leave(cause)
		return
	}
	if f.bars != nil {
		f.bars.freeze()
	}
	if f.call.Mode == Interactive && !f.call.JSON {
		_, _ = fmt.Fprintf(f.call.Err, "cancelling job %s: it stops after the worker in hand; Ctrl-C again: stop waiting\n", Safe(f.id))
	}
	cancelling, done := context.WithTimeout(following, cancelWithin)
	defer done()
	if _, err := f.call.Primary.CancelJob(cancelling, f.id); err != nil && following.Err() == nil {
		leave(fmt.Errorf("cancel job %s: %w", f.id, err))
		return
	}
	overdue := time.NewTimer(cancelledWithin)
	defer overdue.Stop()
	select {
	case <-following.Done(): // it ended
	case <-overdue.C:
		leave(errStillRunning)
	}
}

// wished reports whether a context ended with cause because the user wanted
// what runs under it to end.
func wished(cause error) bool {
	return !errors.Is(cause, ErrHangup) && !errors.Is(cause, ErrShellEnds) &&
		!errors.Is(cause, context.DeadlineExceeded)
}

// show is called with each event of the job.
func (f *follower) show(e control.JobEvent) error {
	if e.Error != "" || len(e.Lines) > 0 {
		f.failed = e
	}
	shown := f.after > 0 && e.Seq <= f.after // before the connection was lost
	if f.bars != nil {
		if shown {
			e.Text = ""
		}
		f.bars.event(e)
		return nil
	}
	if shown {
		return nil
	}
	if f.call.JSON {
		if e.Event == "done" {
			return nil // ours has the job's id
		}
		return f.call.writePlaced(e, strconv.Itoa(e.Seq))
	}
	if e.Text == "" {
		return nil
	}
	_, err := io.WriteString(f.call.Out, f.call.placed(Safe(e.Text), strconv.Itoa(e.Seq)))
	return err
}

// end tells how the job ended.
func (f *follower) end(job control.Job) error {
	if err := f.done(job.State == control.JobOK); err != nil {
		return err
	}
	return jobError(job, f.failed.Lines)
}

// done ends the stream for programs; a person sees the prompt.
func (f *follower) done(ok bool) error {
	if !f.call.JSON {
		return nil
	}
	return f.call.writeLine(struct {
		Event string `json:"event"`
		Job   string `json:"job"`
		OK    bool   `json:"ok"`
	}{"done", f.id, ok})
}

func jobError(job control.Job, lines []string) error {
	e := &Error{Message: job.Error, Lines: lines}
	switch job.State {
	case control.JobOK:
		return nil
	case control.JobCancelled:
		e.Status, e.Code = StatusCancelled, "cancelled"
	default:
		e.Code = "job_failed"
	}
	if e.Message == "" {
		e.Message = fmt.Sprintf("job %s: %s", job.ID, job.State)
	}
	return e
}

// lost tells why the job could not be followed to its end; it may well go on.
func (f *follower) lost(err, cause error) error {
	e := &Error{Err: err, Hint: "job follow " + f.id}
	switch {
	case errors.Is(cause, ErrShellEnds) && f.call.Args[0] == "stop":
		return f.done(true) // all else has stopped before the shell is told to
	case errors.Is(cause, ErrShellEnds), errors.Is(cause, ErrHangup):
		e.Status, e.Code, e.Message = StatusCancelled, "cancelled", fmt.Sprintf("%s; job %s goes on", cause, f.id)
	case errors.Is(cause, context.DeadlineExceeded):
		e.Status, e.Code, e.Message = StatusTimeout, control.ErrTimeout.Code, fmt.Sprintf("timed out; job %s goes on", f.id)
	case errors.Is(cause, errStillRunning):
		e.Status, e.Code = StatusCancelled, "cancelled"
		e.Message = fmt.Sprintf("job %s was cancelled %s ago and still runs", f.id, age(cancelledWithin))
	case cause != nil && !errors.Is(cause, context.Canceled):
		e.Status, e.Code, e.Message = StatusCancelled, "cancelled", fmt.Sprintf("%s; it may go on", cause)
	case errors.Is(err, control.ErrUnavailable): // and whoever comes next knows the job
		return also(err, "job follow "+f.id)
	default:
		return err
	}
	return e
}
