package builtin

import (
	"context"
	"slices"
	"strconv"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/commandline"
	"github.com/norestart/norestart/internal/sessions"
)

// completer lists words for [commands.Command].
type completer = func(ctx context.Context, call *commands.Call, word string) ([]string, error)

// first completes the first argument only.
func first(complete completer) completer {
	return func(ctx context.Context, call *commands.Call, word string) ([]string, error) {
		if len(call.Args) > 1 {
			return nil, nil
		}
		return complete(ctx, call, word)
	}
}

// others leaves out words that were typed already.
func others(complete completer) completer {
	return func(ctx context.Context, call *commands.Call, word string) ([]string, error) {
		words, err := complete(ctx, call, word)
		return slices.DeleteFunc(words, func(w string) bool { return slices.Contains(call.Args[1:], w) }), err
	}
}

func words[T any](list []T, word func(T) (string, bool)) []string {
	var all []string
	for _, one := range list {
		if w, fits := word(one); fits {
			all = append(all, w)
		}
	}
	return all
}

// deadWorkers are those that "worker revive" is for.
func deadWorkers(ctx context.Context, call *commands.Call, _ string) ([]string, error) {
	all, err := control.Get(ctx, call.Primary, control.WorkersQuery{})
	return words(all, func(w control.WorkerInfo) (string, bool) {
		return w.ID, w.State == control.Dead || w.State == control.Stopped || w.State == control.Done
	}), err
}

func anyPool(ctx context.Context, call *commands.Call, _ string) ([]string, error) {
	s, err := control.Get(ctx, call.Primary, control.StatusQuery{})
	return words(s.Pools, func(p control.PoolStatus) (string, bool) { return p.Name, true }), err
}

func ownPool(ctx context.Context, call *commands.Call, _ string) ([]string, error) {
	s, err := control.Get(ctx, call.Primary, control.StatusQuery{})
	return words(s.Pools, func(p control.PoolStatus) (string, bool) { return p.Name, !p.BuiltIn }), err
}

func anyJob(ctx context.Context, call *commands.Call, _ string) ([]string, error) {
	all, err := control.Get(ctx, call.Primary, control.JobsQuery{})
	return words(all, func(j control.Job) (string, bool) { return j.ID, true }), err
}

func runningJob(ctx context.Context, call *commands.Call, _ string) ([]string, error) {
	all, err := control.Get(ctx, call.Primary, control.JobsQuery{})
	return words(all, func(j control.Job) (string, bool) { return j.ID, j.State == control.JobRunning }), err
}

func anySession(ctx context.Context, call *commands.Call, _ string) ([]string, error) {
	lists, err := askShells[[]sessions.Session](ctx, call.Primary, sessions.HandlerList)
	return words(slices.Concat(lists...), func(s sessions.Session) (string, bool) { return s.ID, true }), err
}

func anyModule(ctx context.Context, call *commands.Call, _ string) ([]string, error) {
	all, err := (&Call{Call: call}).modules(ctx)
	var names []string
	for _, w := range all {
		names = append(names, words(w.modules, func(m control.ModuleInfo) (string, bool) { return m.Name, true })...)
	}
	slices.Sort(names)
	return slices.Compact(names), err
}

func anyBlocked(ctx context.Context, call *commands.Call, _ string) ([]string, error) {
	all, err := blockedSources(ctx, call.Primary)
	return words(all, func(b sessions.Blocked) (string, bool) { return b.Source, true }), err
}

func poolThenGeneration(ctx context.Context, call *commands.Call, word string) ([]string, error) {
	if len(call.Args) == 1 {
		return ownPool(ctx, call, word)
	}
	all, err := control.Get(ctx, call.Primary, control.GenerationsQuery{})
	return words(all, func(g control.GenerationInfo) (string, bool) {
		return strconv.Itoa(g.Number), g.Pool == call.Args[1] && !g.Current
	}), err
}

func workerThenSignal(ctx context.Context, call *commands.Call, word string) ([]string, error) {
	switch len(call.Args) {
	case 1:
		return commandline.AnyWorker(ctx, call, word)
	case 2:
		return []string{"HUP", "INT", "QUIT", "KILL", "TERM", "USR1", "USR2", "STOP", "CONT"}, nil
	}
	return nil, nil
}
