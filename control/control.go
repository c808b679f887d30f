package control

import (
	"context"
	"fmt"
)

// Control observes and changes one cluster.
//
// All methods may be called from any goroutine. They return when the cluster has
// answered or ctx is done, whichever is first. Errors of the cluster are
// [*Error]: match them with errors.Is against the sentinels of this package.
// Callbacks (fn) run on the caller's goroutine, one at a time; an error that they
// return ends the call and is returned unchanged.
type Control interface {
	// Get answers a [Query]. Call it by the function [Get], which has the type
	// of the answer.
	Get(ctx context.Context, query any) (any, error)

	// Watch calls fn for each element of a [Stream], oldest first. Call it by the
	// function [Watch], which has their type.
	Watch(ctx context.Context, stream any, fn func(any) error) error

	// Do carries out a request that changes something. If fn is nil it returns
	// the job as soon as that is accepted. Otherwise fn gets the step "accepted"
	// with the job, then each event of the job from its beginning, and Do returns
	// the job as it ended, also if another primary took over meanwhile. The job
	// does not depend on its caller: it goes on when ctx ends or fn fails.
	//
	// A worker that asked for the reload of its own pool is replaced last. When
	// all others are replaced, fn gets the step "next", answers the worker's own
	// caller and returns an error. If fn does not, Do returns soon after, with
	// the job still running.
	Do(ctx context.Context, r Request, fn func(JobEvent) error) (Job, error)
}

// Query asks how the cluster is.
type Query[A any] interface{ answer() A }

// Stream asks for elements as they come.
type Stream[E any] interface{ element() E }

// Request asks for a change.
type Request interface{ change() }

// Get asks c how the cluster is.
func Get[A any](ctx context.Context, c Control, q Query[A]) (A, error) {
	answer, err := c.Get(ctx, q)
	a, ok := answer.(A)
	if err == nil && !ok {
		err = fmt.Errorf("%T was answered by %T", q, answer)
	}
	return a, err
}

// Watch calls fn for each element of a stream.
func Watch[E any](ctx context.Context, c Control, s Stream[E], fn func(E) error) error {
	return c.Watch(ctx, s, func(element any) error {
		e, ok := element.(E)
		if !ok {
			return fmt.Errorf("%T was answered by %T", s, element)
		}
		return fn(e)
	})
}

// The queries, and what answers them.
type (
	StatusQuery      struct{}                 // how the cluster is as a whole
	WorkersQuery     struct{}                 // each slot, of built-in pools too, in the order of pools and slots
	WorkerQuery      struct{ ID string }      // all about one worker ("web/2"), its last exits and last lines too
	GenerationsQuery struct{}                 // the versions of each pool that are kept, oldest first
	JobsQuery        struct{}                 // the running jobs and the last ones that ended
	SpecQuery        struct{}                 // what the cluster was told to run
	ChangesQuery     struct{ Pools []string } // what a reload of these pools would change; none named: all of the application
	ConfigQuery      struct{}                 // what a reload of the configuration would do
)

func (StatusQuery) answer() (a Status)                { return a }
func (WorkersQuery) answer() (a []WorkerInfo)         { return a }
func (WorkerQuery) answer() (a WorkerDetail)          { return a }
func (GenerationsQuery) answer() (a []GenerationInfo) { return a }
func (JobsQuery) answer() (a []Job)                   { return a }
func (SpecQuery) answer() (a Spec)                    { return a }
func (ChangesQuery) answer() (a []PoolChanges)        { return a }
func (ConfigQuery) answer() (a []PoolChanges)         { return a }

func (LogQuery) element() (e LogLine)      { return e }
func (EventQuery) element() (e Event)      { return e }
func (CallRequest) element() (e CallReply) { return e }

func (TerminalQuery) element() (e TerminalOutput) { return e }
