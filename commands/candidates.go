package commands

import (
	"context"
	"slices"
	"strconv"

	"github.com/norestart/norestart/control"
)

// completer lists words for [Command.Complete].
type completer = func(ctx context.Context, call *Call, word string) ([]string, error)

// first completes the first argument only.
func first(complete completer) completer {
	return func(ctx context.Context, call *Call, word string) ([]string, error) {
		if len(call.Args) > 1 {
			return nil, nil
		}
		return complete(ctx, call, word)
	}
}

// others leaves out what was typed already.
func others(complete completer) completer {
	return func(ctx context.Context, call *Call, word string) ([]string, error) {
		words, err := complete(ctx, call, word)
		return slices.DeleteFunc(words, func(w string) bool { return slices.Contains(call.Args[1:], w) }), err
	}
}

func anyWorker(ctx context.Context, call *Call, _ string) ([]string, error) {
	return call.workerIDs(ctx, func(control.WorkerInfo) bool { return true })
}

// deadWorkers are those that "worker revive" is for.
func deadWorkers(ctx context.Context, call *Call, _ string) ([]string, error) {
	return call.workerIDs(ctx, func(w control.WorkerInfo) bool {
		return w.State == control.Dead || w.State == control.Stopped || w.State == control.Done
	})
}

func (c *Call) workerIDs(ctx context.Context, fits func(control.WorkerInfo) bool) ([]string, error) {
	workers, err := c.Primary.Workers(ctx)
	var ids []string
	for _, w := range workers {
		if fits(w) {
			ids = append(ids, w.ID)
		}
	}
	return ids, err
}

func anyPool(ctx context.Context, call *Call, _ string) ([]string, error) {
	s, err := call.Primary.Status(ctx)
	var names []string
	for _, p := range s.Pools {
		names = append(names, p.Name)
	}
	return names, err
}

// ownPool completes pools of the application.
func ownPool(ctx context.Context, call *Call, _ string) ([]string, error) {
	s, err := call.Primary.Status(ctx)
	var names []string
	for _, p := range s.Pools {
		if !p.BuiltIn {
			names = append(names, p.Name)
		}
	}
	return names, err
}

func anyJob(ctx context.Context, call *Call, _ string) ([]string, error) {
	return call.jobIDs(ctx, func(control.Job) bool { return true })
}

func runningJob(ctx context.Context, call *Call, _ string) ([]string, error) {
	return call.jobIDs(ctx, func(j control.Job) bool { return j.State == control.JobRunning })
}

func (c *Call) jobIDs(ctx context.Context, fits func(control.Job) bool) ([]string, error) {
	jobs, err := c.Primary.Jobs(ctx)
	var ids []string
	for _, j := range jobs {
		if fits(j) {
			ids = append(ids, j.ID)
		}
	}
	return ids, err
}

func anySession(ctx context.Context, call *Call, _ string) ([]string, error) {
	lists, err := askShells[[]SessionInfo](ctx, call, HandlerSessions)
	var ids []string
	for _, s := range slices.Concat(lists...) {
		ids = append(ids, s.ID)
	}
	return ids, err
}

func anyBlocked(ctx context.Context, call *Call, _ string) ([]string, error) {
	blocked, err := call.blocked(ctx)
	var sources []string
	for _, b := range blocked {
		sources = append(sources, b.Source)
	}
	return sources, err
}

// poolThenGeneration completes "[POOL] [GENERATION]".
func poolThenGeneration(ctx context.Context, call *Call, word string) ([]string, error) {
	if len(call.Args) == 1 {
		return ownPool(ctx, call, word)
	}
	all, err := call.Primary.Generations(ctx)
	var numbers []string
	for _, g := range all {
		if g.Pool == call.Args[1] && !g.Current {
			numbers = append(numbers, strconv.Itoa(g.Number))
		}
	}
	return numbers, err
}

// workerThenSignal completes "ID SIGNAL".
func workerThenSignal(ctx context.Context, call *Call, word string) ([]string, error) {
	switch len(call.Args) {
	case 1:
		return anyWorker(ctx, call, word)
	case 2:
		return []string{"HUP", "INT", "QUIT", "KILL", "TERM", "USR1", "USR2", "STOP", "CONT"}, nil
	}
	return nil, nil
}
