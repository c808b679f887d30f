package primary

import (
	"fmt"
	"time"

	"github.com/norestart/norestart/control"
)

// health is what the probes of a process found since it became ready.
type health struct {
	passed bool   // the last one did
	failed int    // in a row
	why    string // the last one failed
	bad    bool   // they failed as often as makes it unhealthy, and none has passed since
}

func (h health) word() control.Health {
	switch {
	case h.bad:
		return control.Unhealthy
	case h.failed > 0:
		return control.Failing
	case h.passed:
		return control.Passing
	}
	return ""
}

// probed takes in what a probe of the process that serves has found. One that starts
// or ends is not judged.
func (t *transition) probed(p processState) {
	live := t.pol.Live
	if live == nil || !p.serves() || t.in.now.Sub(p.readyAt) < live.StartPeriod {
		return
	}
	h := &t.cur.health
	if t.in.clean {
		if *h = (health{passed: true}); p.health.bad {
			t.act(action{kind: doHealth, inc: p.inc, why: "is healthy again"})
		}
		return
	}
	*h = health{failed: h.failed + 1, why: t.in.why, bad: h.bad || h.failed+1 >= live.Fail}
	if h.bad && !p.health.bad {
		t.crashes.add(t.in.now, t.cur.complaint())
		t.act(action{kind: doHealth, inc: p.inc, why: "is unhealthy: " + t.cur.complaint()})
	}
}

// complaint is why a process is replaced.
func (p processState) complaint() string {
	return fmt.Sprintf("%s (%s in a row)", p.health.why, times(p.health.failed))
}

// cure replaces an unhealthy process. If that did not help as often as the pool is
// restarted, and others of it are well, its slot is given up.
func (t *transition) cure(p processState) {
	switch {
	case !p.serves() || !p.health.bad:
	case t.in.others && !t.pol.BuiltIn && len(lately(t.recent, t.in.now, t.pol.Within)) >= t.pol.MaxRestarts:
		t.act(action{kind: doReport, inc: p.inc, why: "is ended, as its replacements did not help: " + p.complaint()})
		t.at(p).reason = p.complaint()
		t.term(t.at(p))
	default:
		t.act(action{kind: doCure, inc: p.inc, why: p.complaint()})
	}
}

// lately are the times that are not longer ago than d.
func lately(all []time.Time, now time.Time, d time.Duration) []time.Time {
	for len(all) > 0 && now.Sub(all[0]) >= d {
		all = all[1:]
	}
	return all
}
