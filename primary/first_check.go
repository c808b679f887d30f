package primary

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"syscall"

	"github.com/norestart/norestart/control"
)

// checkFirst runs the checks of all pools before the first process is started. Where
// workers of an earlier primary may run it asks nothing: they are taken over, whatever
// the configuration says by now.
func (p *Primary) checkFirst(ctx context.Context, l *loop) error {
	if slices.ContainsFunc(l.pools, func(pl *pool) bool { return pl.adoption != nil }) {
		return nil
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var checks errands
	defer checks.drop()
	for _, pl := range l.pools {
		if pl.ending { // the rest of a configuration that goes back
			continue
		}
		if err := checks.addCheck(l, pl.spec, pl.generation(pl.gen)); err != nil {
			return err
		}
	}
	for len(checks.todo) > 0 {
		e := checks.todo[0]
		checks.todo = checks.todo[1:]
		if failure := l.runFirst(ctx, e); failure != "" {
			for _, line := range p.console.leave().Lines { // what it has said
				_, _ = io.WriteString(p.console.out, line)
			}
			return fmt.Errorf("%s %s; nothing was started", e, failure)
		}
	}
	return nil
}

// runFirst runs an errand to its end while there is no loop yet. It is not on record,
// which is still that of the last primary.
func (l *loop) runFirst(ctx context.Context, e *errand) (failure string) {
	defer context.AfterFunc(ctx, e.cancel)()
	defer e.generation.close()
	e.group = l.spawn.errandGroup(e, "start")
	begun := func(event) bool { e.run.letIn(true); return true }
	exit, why, _ := l.spawn.runErrand(e, begun, func(control.JobEvent) {})
	e.run.letIn(false)
	return errandFailure(exit, why)
}
