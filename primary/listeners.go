package primary

import (
	"errors"
	"fmt"
	"slices"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
)

// listeners are what the workers of a pool accept on: for each of its addresses a
// group of sockets.
type listeners struct {
	addrs  []string // as configured when they were opened
	names  []string // by which workers ask for them
	groups []*inherit.Group
}

// acceptsOn tells whether a process has these sockets to accept on. Of one that
// was adopted it is known only when there is a choice.
func (r *run) acceptsOn(g *inherit.Group) bool {
	return r.groups == nil || slices.Contains(r.groups, g)
}

// all are the groups that workers of the pool accept on.
func (p *pool) all() []*inherit.Group {
	all := slices.Clone(p.groups)
	if p.former == nil {
		return all
	}
	for _, g := range p.former.groups {
		if !slices.Contains(all, g) {
			all = append(all, g)
		}
	}
	return all
}

// steer sends new connections to the slots that can serve them: those with a
// ready worker that has not missed its beats.
func (p *pool) steer(l *loop) {
	if l.stopping {
		return
	}
	for _, g := range p.all() {
		p.steerGroup(l, g)
	}
}

func (p *pool) steerGroup(l *loop, g *inherit.Group) {
	var live []int
	for i, s := range p.seats {
		if i < g.Len() && s.takesWork(g) {
			live = append(live, i)
		}
	}
	if len(live) == 0 || slices.Equal(live, p.steered[g]) {
		return // with nobody ready, those that were will be first again
	}
	if p.steered == nil {
		p.steered = make(map[*inherit.Group][]int)
	}
	p.steered[g] = live
	if err := g.Steer(live); err != nil && (p.refused == nil || p.refused.Error() != err.Error()) {
		p.refused = err
		l.tell(control.Event{Kind: "pool.trouble", Text: fmt.Sprintf("pool %s: steer connections: %v", p.spec.Name, err)})
	}
}

// unlisten closes the primary's own copies: the port refuses from now on.
func (p *pool) unlisten() {
	for _, g := range p.all() {
		_ = g.Close() // the process ends soon and closes what is left
	}
	p.groups, p.former = nil, nil
}

// relisten opens the addresses that the pool is configured with now, for the
// workers to come, and tells whether they are others than before. The former
// sockets stay for those who accept on them.
func (p *pool) relisten() (bool, error) {
	if slices.Equal(p.addrs, p.spec.Listen) {
		return false, nil
	}
	var next listeners
	for i, addr := range p.spec.Listen {
		g, name, err := p.reopen(i, addr)
		if err != nil {
			next.closeBut(p.groups)
			return false, fmt.Errorf("pool %s: %w", p.spec.Name, err)
		}
		next.addrs, next.names, next.groups = append(next.addrs, addr), append(next.names, name), append(next.groups, g)
	}
	for _, s := range p.seats {
		for _, r := range s.runs {
			if r.groups == nil {
				r.groups = slices.Clone(p.groups)
			}
		}
	}
	former := p.listeners
	p.listeners, p.former = next, &former
	return true, nil
}

// reopen is the group of one address: the one that there is, or a new one.
func (p *pool) reopen(i int, addr string) (*inherit.Group, string, error) {
	listen, err := inherit.Parse(addr)
	if err != nil {
		return nil, "", err
	}
	name := listenerName(listen.Name, p.spec.Name, i)
	if k := slices.Index(p.addrs, addr); k >= 0 {
		return p.groups[k], name, nil
	}
	g, err := inherit.Open(listen, p.spec.Share)
	if err != nil {
		return nil, "", err
	}
	if err := g.Grow(max(p.target, len(p.seats), 1)); err != nil {
		return nil, "", errors.Join(err, g.Close())
	}
	return g, name, nil
}

// swapBack lets the workers to come accept on the former sockets again.
func (p *pool) swapBack() {
	if p.former != nil {
		p.listeners, *p.former = *p.former, p.listeners
	}
}

// dropFormer closes what no worker accepts on any more.
func (p *pool) dropFormer() {
	if p.former == nil {
		return
	}
	p.former.closeBut(p.groups)
	for _, g := range p.former.groups {
		if !slices.Contains(p.groups, g) {
			delete(p.steered, g)
		}
	}
	p.former = nil
}

// closeBut closes the groups that are not among those that stay.
func (s listeners) closeBut(stay []*inherit.Group) {
	for _, g := range s.groups {
		if !slices.Contains(stay, g) {
			_ = g.Close() // only our copies
		}
	}
}

// leaves tells whether a process accepts on sockets that are given up: nobody
// else will take what waits there.
func (p *pool) leaves(r *run) bool {
	return p.former != nil && r != nil && slices.ContainsFunc(r.groups, func(g *inherit.Group) bool { return !slices.Contains(p.groups, g) })
}
