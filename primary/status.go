package primary

import (
	"cmp"
	"time"

	"github.com/norestart/norestart/control"
)

func (p *pool) status() control.PoolStatus {
	st := control.PoolStatus{
		Name: p.spec.Name, BuiltIn: p.spec.BuiltIn, Listen: []string{}, Share: p.spec.Share,
		Target: p.target, Configured: p.configured, Ready: p.ready(),
		Dead: p.count(control.Dead), Stopped: p.count(control.Stopped), Done: p.count(control.Done), Generation: p.gen,
		Crashes: p.crashes(time.Now()), Next: p.runs.at, NextReload: p.reloads.at,
	}
	if p.ending {
		st.Target = 0
	}
	for _, o := range p.public() {
		if o != nil {
			st.Listen = append(st.Listen, o.group.Addr())
			if p.spec.Share != control.ShareSeize && p.relay == nil {
				st.Share = o.group.Mode()
			}
		}
	}
	for _, s := range p.slots {
		if r := s.processes[s.cur.inc]; s.cur.serves() && r != nil && r.silent {
			st.Silent++
		}
		if r := s.processes[s.cur.inc]; s.cur.serves() && r != nil && !r.reloading.IsZero() {
			st.Reloading++
			if r.overdue {
				st.Overdue++
			}
		}
		if s.cur.serves() && s.cur.health.bad {
			st.Unhealthy++
		}
	}
	if st.Short() > 0 {
		st.LastFailure = cmp.Or(p.awaits(), p.failure)
	}
	return st
}

// info is what an operator sees of the slot; cpu and memory are added outside
// the loop.
func (s *slot) info(now time.Time) control.WorkerInfo {
	i := control.WorkerInfo{
		ID: s.id(), Pool: s.pool.spec.Name, BuiltIn: s.pool.spec.BuiltIn,
		State: s.state(), Generation: s.gen, Restarts: s.restarts, Outgoing: []control.Process{},
	}
	i.Status, i.Next, i.Stored = s.pool.awaits(), s.pool.runs.at, len(s.stored)
	if r := s.processes[s.cur.inc]; s.cur.some() && r != nil {
		i.PID, i.Generation, i.Incarnation = r.pid(), s.cur.gen, s.cur.inc
		i.Since, i.Up = s.cur.since, now.Sub(s.cur.since)
		i.Connections, i.Requests, i.Hijacked, i.Silent = r.beat.Connections, r.beat.Requests, r.beat.Hijacked, r.silent
		i.Status, i.Private, i.Reloading = r.status, r.private, r.reloading
		i.Health, i.Failure = s.cur.health.word(), cmp.Or(s.cur.health.why, r.failure)
	}
	if len(s.exits) > 0 {
		last := s.exits[0]
		i.LastExit = &last
	}
	if s.next.some() {
		p := s.beside(s.next)
		i.Successor = &p
	}
	for _, p := range s.old {
		i.Outgoing = append(i.Outgoing, s.beside(p))
	}
	return i
}

func (s *slot) beside(p processState) control.Process {
	b := control.Process{Generation: p.gen, Incarnation: p.inc, State: control.Starting}
	switch {
	case p.ending != notEnding:
		b.State = control.Draining
	case p.ready:
		b.State = control.Ready
	}
	if r := s.processes[p.inc]; r != nil {
		b.PID, b.Connections, b.Cut, b.Private = r.pid(), r.beat.Connections, r.cut, r.private
	}
	return b
}
