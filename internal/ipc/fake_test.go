package ipc

import (
	"context"
	"sync"

	"github.com/norestart/norestart/control"
)

// fake records what it is asked and answers with values that are full.
type fake struct {
	fail error // what every method returns, after its elements

	mu   sync.Mutex // protects seen
	seen []any
}

var _ control.Control = (*fake)(nil)

func (f *fake) note(q any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, q)
}

func (f *fake) asked() []any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen
}

func (f *fake) Get(_ context.Context, q any) (any, error) {
	f.note(q)
	if f.fail != nil {
		return nil, f.fail
	}
	switch q.(type) {
	case control.StatusQuery:
		return full[control.Status](), nil
	case control.WorkersQuery:
		return full[[]control.WorkerInfo](), nil
	case control.WorkerQuery:
		return full[control.WorkerDetail](), nil
	case control.GenerationsQuery:
		return full[[]control.GenerationInfo](), nil
	case control.JobsQuery:
		return full[[]control.Job](), nil
	case control.SpecQuery:
		return full[control.Spec](), nil
	case control.ChangesQuery, control.ConfigQuery:
		return full[[]control.PoolChanges](), nil
	}
	return nil, control.ErrUsage
}

func (f *fake) Watch(_ context.Context, q any, fn func(any) error) error {
	f.note(q)
	for i := range 3 {
		var err error
		switch q.(type) {
		case control.LogQuery:
			err = fn(filled[control.LogLine]()[i])
		case control.EventQuery:
			err = fn(filled[control.Event]()[i])
		case control.CallRequest:
			err = fn(filled[control.CallReply]()[i])
		case control.TerminalQuery:
			err = fn(filled[control.TerminalOutput]()[i])
		}
		if err != nil {
			return err
		}
	}
	return f.fail
}

func (f *fake) Do(_ context.Context, r control.Request, fn func(control.JobEvent) error) (control.Job, error) {
	f.note(r)
	if f.fail != nil {
		return control.Job{}, f.fail
	}
	if fn != nil {
		for _, e := range filled[control.JobEvent]() {
			if err := fn(e); err != nil {
				return control.Job{}, err
			}
		}
	}
	return full[control.Job](), nil
}

// streaming is a cluster whose log does what a test says.
type streaming struct {
	fake
	log func(ctx context.Context, fn func(control.LogLine) error) error
}

func (s *streaming) Watch(ctx context.Context, _ any, fn func(any) error) error {
	return s.log(ctx, func(l control.LogLine) error { return fn(l) })
}

// full is a value with nothing left out.
func full[T any]() T {
	var v T
	fill(&v)
	return v
}

// filled are some of them; those of a job are numbered, or they would be taken
// for the same one told again.
func filled[T any]() []T {
	all := []T{full[T](), full[T](), full[T]()}
	for i := range all {
		if e, ok := any(&all[i]).(*control.JobEvent); ok {
			e.Seq, e.Event = i+1, control.StepNote
			if i == 0 {
				e.Seq, e.Event = 0, control.StepAccepted
			}
		}
	}
	return all
}
