package primary

import (
	"fmt"
	"slices"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

// A primary may be killed while a reload moves a pool to other addresses. Its
// workers then hold two sets of sockets, and each process accepts on one of
// them. The next primary takes both back, so that the job can go on, or go
// back, and nothing is left of the set that nobody accepts on.

// returnedFormer takes in the sockets that a survivor of the former addresses
// gives back.
func (l *loop) returnedFormer(p *pool, all []ipc.Socket) {
	f := &p.gathering.former
	if len(all) <= f.sockets() {
		closeSockets(all)
		return
	}
	names, groups, err := p.restoreAll(f.addrs, all)
	if err != nil {
		closeSockets(all)
		l.tell(control.Event{Kind: "pool.trouble", Text: fmt.Sprintf("pool %s: former sockets of a survivor: %v", p.spec.Name, err)})
		return // somebody else may do better
	}
	closeSockets(slices.DeleteFunc(all, func(s ipc.Socket) bool { return slices.Contains(names, s.Name) }))
	f.drop()
	f.names, f.groups = names, groups
}

// restoreAll makes groups of sockets that listen on all of these addresses.
func (p *pool) restoreAll(addrs []string, all []ipc.Socket) (names []string, groups []*inherit.Group, err error) {
	for i, addr := range addrs {
		listen, name, fds, err := p.offered(all, i, addr)
		if err != nil {
			return nil, nil, err
		}
		g, err := inherit.Restore(listen, p.spec.Share, fds)
		if err != nil {
			return nil, nil, err
		}
		names, groups = append(names, name), append(groups, g)
	}
	return names, groups, nil
}

// gives tells whether a process lives that accepts on the former addresses, or
// on the others, and may give their sockets back.
func (p *pool) gives(former bool) bool {
	for _, s := range p.seats {
		for _, r := range s.runs {
			if r.former == former && !r.gone && !r.closed && !r.leaving {
				return true
			}
		}
	}
	return false
}

// reunite puts together what has come back of two sets of sockets, and what
// each process accepts on.
func (p *pool) reunite() {
	f := p.gathering.former
	if len(f.groups) == 0 {
		return
	}
	p.gathering.former = listeners{}
	if len(p.groups) == 0 {
		p.listeners = f // nobody accepts on the others
		p.learn(nil)
		return
	}
	for i, addr := range f.addrs { // an address that stays has one group
		if k := slices.Index(p.addrs, addr); k >= 0 && k < len(p.groups) {
			listeners{groups: f.groups[i : i+1]}.drop()
			f.groups[i] = p.groups[k]
		}
	}
	p.former = &f
	p.learn(f.groups)
}

// learn notes what each process accepts on.
func (p *pool) learn(former []*inherit.Group) {
	for _, s := range p.seats {
		for _, r := range s.runs {
			if r.groups = slices.Clone(p.groups); r.former && former != nil {
				r.groups = slices.Clone(former)
			}
			r.former = false
		}
	}
}

// dropUnused closes the former sockets when no process accepts on them any more
// and no job will go back to them.
func (p *pool) dropUnused() {
	if p.former == nil || p.job != nil || p.gathering != nil {
		return
	}
	for _, s := range p.seats {
		for _, r := range s.runs {
			if p.leaves(r) {
				return
			}
		}
	}
	p.dropFormer()
}
