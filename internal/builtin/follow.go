package builtin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/commandline"
)

const (
	acceptWithin = 30 * time.Second
	// cancelWithin bounds the wait for the answer to a cancel.
	cancelWithin = 5 * time.Second
	// cancelledWithin bounds the wait for the end of a cancelled job: the current
	// worker may become ready, or drain and be killed, within its deadlines.
	cancelledWithin = 2 * time.Minute
)

// errStillRunning is the cause when a cancelled job did not end in time.
var errStillRunning = errors.New("still running")

// begin carries out a request and follows its job, or prints its id with
// --detach.
func (c *Call) begin(ctx context.Context, r control.Request) error {
	_, err := c.beginNext(ctx, func(context.Context) (control.Request, error) { return r, nil })
	return err
}

// beginNext is begin with the request that next makes, anew after each job that
// was in the way. It returns the job as it was accepted.
func (c *Call) beginNext(ctx context.Context, next func(context.Context) (control.Request, error)) (control.Job, error) {
	for {
		r, err := next(ctx)
		if err != nil {
			return control.Job{}, err
		}
		f := &follower{call: c, own: true, detach: c.given("detach")}
		if err = f.follow(ctx, r); err == nil || f.id != "" {
			return f.job, err
		}
		if err := c.giveWay(ctx, err); err != nil {
			return f.job, err
		}
	}
}

// giveWay waits, with --wait, for the job that is in the way of a command. Any
// other refusal is returned.
func (c *Call) giveWay(ctx context.Context, refused error) error {
	busy, ok := errors.AsType[*control.Error](refused)
	flag := c.Flags().Lookup("wait")
	switch {
	case !ok || busy.Code != control.ErrBusy.Code || busy.Job == "" || flag == nil:
		return refused
	case flag.Value.String() != "true":
		return &control.Error{Code: busy.Code, Message: refused.Error(), Hint: busy.Hint + ", or the same command with --wait"}
	}
	if !c.JSON {
		_, _ = fmt.Fprintf(c.Err, "waiting: %s\n", commands.Safe(busy.Message))
	}
	_, err := c.Primary.Do(ctx, control.FollowRequest{ID: busy.Job}, func(control.JobEvent) error { return nil })
	switch {
	case errors.Is(err, control.ErrNoJob): // it has ended, and others since
		return nil
	case errors.Is(err, control.ErrUnavailable):
		return commandline.Hint(err, c.Args[0]+" has not begun: type it again")
	}
	return err
}

// narrates reports whether a person reads the progress of the job.
func (c *Call) narrates() bool {
	return !c.given("detach") && !c.JSON
}

func (c *Call) writeJobID(id string) error {
	if c.JSON {
		return c.WriteJSON(map[string]string{"job": id})
	}
	c.Printf("%s\n", commands.Safe(id))
	return nil
}

// follower shows a job as it goes.
type follower struct {
	call   *Call
	own    bool // the job is the user's own: a cancelled context cancels it
	detach bool // only its id is wanted
	after  int  // events up to this one are not shown

	id        string      // empty: not yet accepted
	job       control.Job // as it was accepted
	accepting sync.Mutex  // held while the acceptance is shown, so that a Ctrl-C that answers it finds begun closed
	begun     chan struct{}
	following context.Context
	bars      *progress        // nil: none are shown
	failed    control.JobEvent // the last event of a worker that failed
}

// errDetached stops following a job after its id.
var errDetached = errors.New("detached")

// follow carries out a request, shows the events of its job and returns how that
// ended. If the job is the user's own, a cancelled ctx cancels it (but see
// [commandline.ErrHangup]) and it is followed to its end.
func (f *follower) follow(ctx context.Context, r control.Request) error {
	following, leave := context.WithCancelCause(context.WithoutCancel(ctx))
	defer leave(nil)
	f.following, f.begun = following, make(chan struct{})
	if known, ok := r.(control.FollowRequest); ok {
		f.begins(known.ID)
	}
	late := time.AfterFunc(acceptWithin, func() {
		select {
		case <-f.begun:
		default:
			leave(context.DeadlineExceeded)
		}
	})
	defer late.Stop()
	interrupted := make(chan struct{})
	calm := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		f.interrupt(ctx, leave)
	})
	job, err := f.call.Primary.Do(following, r, f.show)
	f.bars.end()
	cause := context.Cause(following)
	if !calm() {
		leave(nil)
		<-interrupted
	}
	switch {
	case f.id == "" && cause != nil:
		return f.unanswered(ctx, cause)
	case errors.Is(err, errDetached):
		return f.call.writeJobID(f.id)
	case err != nil && f.id != "":
		return f.lost(err, cause)
	case err != nil:
		return err
	}
	return f.end(job)
}

// unanswered is the error of a request that may have been accepted all the same.
func (f *follower) unanswered(ctx context.Context, cause error) error {
	e := commandline.Failure(ctx, cause)
	e.Message = f.call.Args[0] + ": no answer; it may have been accepted"
	e.Hint = "job list"
	return e
}

func (f *follower) begins(id string) {
	f.accepting.Lock()
	defer f.accepting.Unlock()
	f.id = id
	if text := f.call.mark("job", id); text != "" {
		_, _ = io.WriteString(f.call.Out, text) // a write that fails ends the command
	}
	f.bars = f.call.watchJob(f.following, id)
	close(f.begun)
}

// interrupt runs when ctx is done: it cancels the job, if the user meant that,
// and bounds the wait for its end.
func (f *follower) interrupt(ctx context.Context, leave context.CancelCauseFunc) {
	f.accepting.Lock()
	begun := false
	select {
	case <-f.begun:
		begun = true
	default:
	}
	f.accepting.Unlock()
	if cause := context.Cause(ctx); !begun || !f.own || !byUser(cause) {
		leave(cause)
		return
	}
	if f.bars != nil {
		f.bars.freeze()
	}
	if f.call.Mode == commands.Interactive && !f.call.JSON {
		_, _ = fmt.Fprintf(f.call.Err, "cancelling job %s: it stops after the current worker; press Ctrl-C again to stop waiting\n", commands.Safe(f.id))
	}
	cancelling, done := context.WithTimeout(f.following, cancelWithin)
	defer done()
	if _, err := f.call.Primary.Do(cancelling, control.CancelRequest{ID: f.id}, nil); err != nil && f.following.Err() == nil {
		leave(fmt.Errorf("cancel job %s: %w", f.id, err))
		return
	}
	overdue := time.NewTimer(cancelledWithin)
	defer overdue.Stop()
	select {
	case <-f.following.Done(): // it ended
	case <-overdue.C:
		leave(errStillRunning)
	}
}

func byUser(cause error) bool {
	return !errors.Is(cause, commandline.ErrHangup) && !errors.Is(cause, commandline.ErrShellEnds) &&
		!errors.Is(cause, context.DeadlineExceeded)
}

// show is called with each event of the job.
func (f *follower) show(e control.JobEvent) error {
	if e.Event == control.StepAccepted {
		if f.job = *e.Job; f.detach {
			f.id = e.Job.ID
			return errDetached
		}
		f.begins(e.Job.ID)
		return nil
	}
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
		if e.Event == control.StepDone {
			return nil // its id is shown already
		}
		return f.call.writeLine(e, strconv.Itoa(e.Seq))
	}
	if e.Text == "" {
		return nil
	}
	return f.call.write(f.call.placed(commands.Safe(e.Text), strconv.Itoa(e.Seq)))
}

func (f *follower) end(job control.Job) error {
	if err := f.done(job.State == control.JobOK); err != nil {
		return err
	}
	return f.failure(job)
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
	}{"done", f.id, ok}, "")
}

// failure is the error of a job that failed, with a hint to the log of its last
// worker that failed.
func (f *follower) failure(job control.Job) error {
	if job.State == control.JobOK {
		return nil
	}
	e := &control.Error{Code: "job_failed", Message: cmp.Or(job.Error, fmt.Sprintf("job %s: %s", job.ID, job.State))}
	if len(f.failed.Lines) > 0 {
		if e.Hint = "log"; f.failed.Worker != "" {
			e.Hint = "log --worker " + f.failed.Worker
		}
	}
	if f.call.JSON {
		e.Lines = f.failed.Lines
	}
	if job.State == control.JobCancelled {
		e.Code = commandline.CodeCancelled
	}
	return e
}

// lost tells why the job could not be followed to its end; the job may go on.
func (f *follower) lost(err, cause error) error {
	e := &control.Error{Code: commandline.CodeCancelled, Err: err, Hint: "job follow " + f.id}
	switch {
	case errors.Is(cause, commandline.ErrShellEnds) && f.call.Args[0] == "stop":
		return f.done(true) // the shell is told to stop when all else has stopped
	case errors.Is(cause, commandline.ErrShellEnds), errors.Is(cause, commandline.ErrHangup):
		e.Message = fmt.Sprintf("%s; job %s goes on", cause, f.id)
	case errors.Is(cause, context.DeadlineExceeded):
		e.Code, e.Message = control.ErrTimeout.Code, fmt.Sprintf("timed out; job %s goes on", f.id)
	case errors.Is(cause, errStillRunning):
		e.Message = fmt.Sprintf("job %s was cancelled %s ago and still runs", f.id, age(cancelledWithin))
	case cause != nil && !errors.Is(cause, context.Canceled):
		e.Message = fmt.Sprintf("%s; it may go on", cause)
	case errors.Is(err, control.ErrUnavailable): // and the next primary knows the job
		return commandline.Hint(err, "job follow "+f.id)
	default:
		return err
	}
	return e
}
