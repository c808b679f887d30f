package primary

import (
	"fmt"
	"strings"

	"github.com/norestart/norestart/control"
)

// addChecks finds the checks of pools that begin or get another generation.
func (w *configJob) addChecks(l *loop) error {
	b := &w.cycles.errands
	b.checks = true
	for _, c := range w.Pools {
		if c.Follows != control.FollowsBegin && c.Follows != control.FollowsReload {
			continue
		}
		if err := b.addCheck(l, *w.prop.pool(c.Name), w.prop.next[c.Name]); err != nil {
			return fmt.Errorf("%w%s", err, nothingChanged)
		}
	}
	return nil
}

// check waits for the checks, and then takes the configuration in.
func (w *configJob) check(l *loop, j *job) bool {
	over, cause := w.cycles.errands.run(l, j, &w.cycles)
	if over {
		if err := w.takeIn(l, j); err != nil {
			cause = strings.TrimSuffix(err.Error(), nothingChanged)
		}
	}
	switch {
	case cause == "cancelled":
		l.finish(j, control.JobCancelled, "cancelled: nothing was changed")
	case cause != "":
		l.finish(j, control.JobFailed, cause+nothingChanged)
	default:
		return over
	}
	w.prop.close()
	return false
}
