package primary

import (
	"slices"

	"github.com/norestart/norestart/control"
)

// begun tells whether the pool has been started. From then on it waits for no
// other one, whatever becomes of those.
func (p *pool) begun() bool {
	return slices.ContainsFunc(p.slots, func(s *slot) bool { return s.want != wantNone })
}

// awaited is the pool that p waits for; nil: none.
func (l *loop) awaited(p *pool) *pool {
	if len(p.spec.DependsOn) == 0 || p.begun() {
		return nil
	}
	for _, on := range l.pools {
		if slices.Contains(p.spec.DependsOn, on.spec.Name) && !on.met() {
			return on
		}
	}
	return nil
}

// met tells whether a pool that depends on p may be started. A program that is run
// once and tells nothing must have done its work.
func (p *pool) met() bool {
	once := p.spec.Policy == control.Never && p.spec.Protocol == control.ProtocolMute && p.spec.ReadyLine == ""
	st := p.status()
	return p.adoption == nil && st.Short() == 0 && (!once || st.Ready == 0)
}

// needed tells whether a pool that depends on p, also by way of others, still runs.
func (l *loop) needed(p *pool) bool {
	return slices.ContainsFunc(l.pools, func(o *pool) bool {
		return slices.Contains(o.spec.DependsOn, p.spec.Name) && (!o.idle() || l.needed(o))
	})
}

// settled tells whether nothing more is to be expected of the start of a pool: its
// workers are ready or given up, or it waits for one of which that is true.
func (p *pool) settled() bool {
	if p.waits != nil {
		return p.waits.hopeless()
	}
	st := p.status()
	return p.adoption == nil && st.Short() <= st.Dead
}

// hopeless tells whether the start of the pool has failed.
func (p *pool) hopeless() bool {
	return p.settled() && (p.waits != nil || p.status().Dead > 0)
}

// awaits tells what the pool waits for; empty: nothing.
func (p *pool) awaits() string {
	if p.waits == nil {
		return ""
	}
	return "waits for pool " + p.waits.spec.Name
}
