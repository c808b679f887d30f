package primary

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/norestart/norestart/control"
)

// The agent asks processes how they are. What it finds is an input of their slots,
// which alone decide (slot_health.go).

// tellProbed takes in what the agent has found.
func (c caller) tellProbed(ctx context.Context, r control.ProbedRequest) error {
	_, err := ask(ctx, c.p, func(l *loop) (struct{}, error) { return struct{}{}, l.found(r) })
	return err
}

func (l *loop) found(r control.ProbedRequest) error {
	s, err := l.slot(r.ID)
	if err != nil {
		return err
	}
	run := s.processes[r.Incarnation]
	switch {
	case run == nil:
		return &control.Error{Code: control.ErrConflict.Code, Message: fmt.Sprintf("worker %s has no incarnation %d any more", r.ID, r.Incarnation)}
	case r.Live:
		l.step(s, input{kind: hProbed, inc: r.Incarnation, clean: r.Failure == "", why: r.Failure})
	case s.specOf(run).Protocol != control.ProtocolProbe:
	case r.Failure != "":
		run.failure, run.probed = r.Failure, time.Now()
	case run.private != "":
		run.failure = ""
		l.dialPrivate(s, run, firstDial) // which finds at which of two addresses it is
	default:
		run.failure = ""
		l.becameReady(s, r.Incarnation)
	}
	return nil
}

// A process that no agent probes cannot become ready: it is not ended for that while
// no agent serves, nor soon after one began to.
const agentSettles = 10 * time.Second

// unasked reports whether a process was not ready in time because no agent asked it.
func (l *loop) unasked(s *slot, r *process, now time.Time) bool {
	agent, err := l.pool(l.cfg.Spec.Agent)
	if err != nil || s.specOf(r).Protocol != control.ProtocolProbe || now.Sub(r.probed) < agentSettles {
		return false
	}
	return !slices.ContainsFunc(agent.slots, func(a *slot) bool { return a.serving(a.cur) && now.Sub(a.cur.readyAt) >= agentSettles })
}

// noteUnready says what the last probe of a process found whose time to become ready
// is over.
func (s *slot) noteUnready(inc uint64) {
	r := s.processes[inc]
	if p, _ := s.find(inc); r != nil && r.failure != "" && !p.ready {
		s.note(inc, "not ready in time: "+r.failure)
	}
}

// cured is the last replacement of unhealthy workers.
type cured struct {
	at   time.Time
	why  map[uint64]string // of those that were to be replaced
	last *slot
}

// cure replaces the unhealthy workers of each pool, one after the other. If none
// passes its probe the fault is probably elsewhere, as in a database: then it is one
// worker each BackoffMax, and the next only when its successor has been asked.
func (l *loop) cure(now time.Time) {
	for _, p := range l.pools {
		if p.spec.Live == nil || p.adoption != nil || p.job != nil || l.stopping {
			continue
		}
		passes := slices.ContainsFunc(p.slots, func(s *slot) bool { return s.cur.serves() && s.cur.health.passed })
		p.curing = nil
		for _, s := range p.curable(passes, now) {
			l.step(s, input{kind: hCure, inc: s.cur.inc, others: passes})
		}
		if len(p.curing) > 0 {
			l.replaceUnhealthy(p, now)
		}
	}
}

// curable are the slots whose workers may be replaced now.
func (p *pool) curable(passes bool, now time.Time) (ill []*slot) {
	paused := now.Before(p.cured.at.Add(p.spec.BackoffMax))
	for _, s := range p.slots {
		s.processes[s.cur.inc].forgive(p.cured.why[s.cur.inc]) // it is still there: its successor has failed
		if s.cur.serves() && s.cur.health.bad && !(paused && p.cured.why[s.cur.inc] != "") {
			ill = append(ill, s)
		}
	}
	if passes || len(ill) == 0 {
		return ill
	}
	if last := p.cured.last; paused || last != nil && last.cur.some() && last.cur.health == (health{}) {
		return nil
	}
	return ill[:1]
}

func (l *loop) replaceUnhealthy(p *pool, now time.Time) {
	if _, err := l.restartWorkers(p.curing, "live"); err != nil {
		return // another job has the pool
	}
	p.cured = cured{at: now, why: make(map[uint64]string), last: p.curing[len(p.curing)-1]}
	for _, s := range p.curing {
		p.cured.why[s.cur.inc] = s.cur.complaint()
		s.note(s.cur.inc, s.cur.complaint())
	}
}

// restartWorkers replaces workers of a pool by others of the same generation.
func (l *loop) restartWorkers(slots []*slot, owner string) (*job, error) {
	p := slots[0].pool
	again := newReload(p, nil, control.ReloadRequest{})
	again.only = slots
	return l.begin("worker restart", strings.Join(idList(slots), " "), owner, []*pool{p}, &reloadJob{todo: []*poolReload{again}})
}
