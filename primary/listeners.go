package primary

import (
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
)

// listener is an address of a pool with its sockets. It is open while a
// generation that is in use listens on it.
type listener struct {
	addr    string // as configured
	group   *inherit.Group
	steered []int // the slots that get new connections now
}

func (p *pool) listenOf(gen int) []string {
	for _, number := range []int{gen, p.gen} {
		if g := p.generation(number); g != nil {
			return g.listen
		}
	}
	return p.spec.Listen
}

// listeners are those of a generation, in order; nil for one that is not open.
func (p *pool) listeners(gen int) []*listener { return p.listenersAt(p.listenOf(gen)) }

// listenersAt takes an address that is there twice, with port 0, for two.
func (p *pool) listenersAt(addrs []string) []*listener {
	all := make([]*listener, len(addrs))
	for i, addr := range addrs {
		if k := slices.IndexFunc(p.open, func(o *listener) bool { return o.addr == addr && !slices.Contains(all, o) }); k >= 0 {
			all[i] = p.open[k]
		}
	}
	return all
}

// nameAt is how workers ask for the listener at an address.
func (p *pool) nameAt(addrs []string, i int) string {
	listen, _ := inherit.Parse(addrs[i]) // else it is not open
	return listen.NameIn(p.spec.Name, i)
}

// nameFor is how workers of a generation ask for a listener; if they do not
// listen on it, its address, which is not a name.
func (p *pool) nameFor(gen int, o *listener) string {
	i := slices.Index(p.listeners(gen), o)
	if i < 0 {
		return o.addr
	}
	return p.nameAt(p.listenOf(gen), i)
}

func (p *pool) accepts(r *process, o *listener) bool {
	return slices.Contains(p.listenOf(r.gen), o.addr)
}

// listen opens the addresses of a generation that are not open. If one fails,
// those that it has opened and nobody uses are closed.
func (p *pool) listen(gen int) error {
	addrs := p.listenOf(gen)
	for i, o := range p.listenersAt(addrs) {
		if o != nil {
			continue
		}
		o, err := p.openListener(addrs[i], p.nameAt(addrs, i))
		if err != nil {
			return fmt.Errorf("pool %s: %w", p.spec.Name, err)
		}
		p.open = append(p.open, o)
		if p.keeper != nil {
			p.share(o, 0)
		}
	}
	return nil
}

// sharing is how the sockets are made.
func (p *pool) sharing() string {
	if p.spec.Share == control.ShareSeize {
		return control.ShareSlots
	}
	return p.spec.Share
}

func (p *pool) openListener(addr, name string) (*listener, error) {
	listen, err := inherit.Parse(addr)
	if err != nil {
		return nil, err
	}
	g, err := p.given.open(listen, p.sharing(), name, p.spec.Name)
	if g == nil && err == nil {
		var access *inherit.Access
		if access, err = accessOf(p.spec); err == nil {
			g, err = inherit.OpenFor(access, listen, p.sharing())
		}
	}
	if err != nil {
		return nil, err
	}
	if err := g.Grow(max(p.target, len(p.slots), 1)); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return &listener{addr: addr, group: g}, nil
}

// accessOf is who may connect to the unix sockets of a pool.
func accessOf(spec control.PoolSpec) (*inherit.Access, error) {
	a := &inherit.Access{Mode: spec.SocketMode, UID: -1, GID: -1}
	if name := spec.SocketUser; name != "" {
		u, err := user.Lookup(name)
		if err != nil {
			u, err = user.LookupId(name)
		}
		if err != nil {
			return nil, fmt.Errorf("socket_user: no user %q on this machine", name)
		}
		a.UID, _ = strconv.Atoi(u.Uid) // always a number here
	}
	if name := spec.SocketGroup; name != "" {
		g, err := user.LookupGroup(name)
		if err != nil {
			g, err = user.LookupGroupId(name)
		}
		if err != nil {
			return nil, fmt.Errorf("socket_group: no group %q on this machine", name)
		}
		a.GID, _ = strconv.Atoi(g.Gid)
	}
	return a, nil
}

// reopen opens what has not come back from an earlier primary.
func (p *pool) reopen() error {
	p.relocate()
	if err := p.listen(p.gen); err != nil {
		return err
	}
	if err := p.grow(max(p.target, 1)); err != nil {
		return fmt.Errorf("pool %s: %w", p.spec.Name, err)
	}
	return nil
}

// relocate moves generations without any process or socket to where the pool is
// configured now.
func (p *pool) relocate() {
	for _, g := range p.generations {
		if !p.has(func(r *process) bool { return r.gen == g.number && r.mayAccept() }) && slices.Contains(p.listenersAt(g.listen), nil) {
			g.listen = p.spec.Listen
		}
	}
}

// mayAccept reports whether a process lives that still accepts connections.
func (r *process) mayAccept() bool { return !r.gone && !r.closed && !r.leaving }

// moved reports whether the pool is elsewhere than configured.
func (p *pool) moved() bool {
	g := p.generation(p.gen)
	return g != nil && len(g.listen) > 0 && !slices.Equal(g.listen, p.spec.Listen)
}

// closeUnused closes the addresses of generations that are not in use any more.
func (p *pool) closeUnused() {
	if p.adoption != nil || len(p.open) == len(p.listenOf(p.gen)) {
		return
	}
	p.open = slices.DeleteFunc(p.open, func(o *listener) bool {
		used := slices.ContainsFunc(p.generations, func(g *generation) bool { return slices.Contains(g.listen, o.addr) && p.uses(g.number) })
		if !used {
			p.shutListener(o)
		}
		return !used
	})
}

// unlisten closes the primary's own copies: the port refuses from now on.
func (p *pool) unlisten() {
	for _, o := range p.open {
		p.shutListener(o)
	}
	p.open = nil
}

func (p *pool) shutListener(o *listener) {
	if p.keeper != nil {
		p.keeper.unkeep(p.keptName(o))
	}
	_ = o.group.Close()
	p.shut = append(p.shut, o.group)
}

// removeFiles removes the files of unix sockets that came from an earlier primary,
// once no process listens on them: one that does may be another program, whose file
// it is by now.
func (l *loop) removeFiles() {
	left := func(groups []*inherit.Group) []*inherit.Group {
		return slices.DeleteFunc(groups, func(g *inherit.Group) bool {
			done, err := g.RemoveFile()
			if err != nil {
				l.tell(control.Event{Kind: control.EventClusterTrouble, Text: err.Error()})
			}
			return done
		})
	}
	l.shut = left(l.shut)
	for _, p := range l.pools {
		p.shut = left(p.shut)
	}
}

// leaves reports whether a process accepts on an address on which its successor
// does not: nobody else will take what waits there.
func (s *slot) leaves(r *process) bool {
	to := s.cur.gen
	if !s.cur.some() {
		to = s.coming.gen
	}
	return r != nil && to != 0 && slices.ContainsFunc(s.pool.listenOf(r.gen), func(addr string) bool { return !slices.Contains(s.pool.listenOf(to), addr) })
}

// steer sends new connections to the slots that can serve them: those with a
// ready worker that has not missed its beats.
func (p *pool) steer(l *loop) {
	if l.stopping {
		return
	}
	for _, o := range p.open {
		p.steerListener(l, o)
	}
}

func (p *pool) steerListener(l *loop, o *listener) {
	var live []int
	for i, s := range p.slots {
		if i < o.group.Len() && s.accepting(o) != nil {
			live = append(live, i)
		}
	}
	if len(live) == 0 || slices.Equal(live, o.steered) {
		return // without a ready slot: the last ones will be ready first
	}
	err := o.group.Steer(live)
	if err == nil {
		o.steered, p.refused = live, nil
		return
	}
	if p.refused == nil || p.refused.Error() != err.Error() { // it is tried again after every event
		p.refused = err
		l.tell(control.Event{Kind: control.EventPoolTrouble, Text: fmt.Sprintf("pool %s: steer connections: %v", p.spec.Name, err)})
	}
}

// restoreListener makes a listener of sockets that an earlier primary has left,
// in place of copies of fewer of them. If they listen where the name is
// configured now, the address is spelled like that from now on: port 0 may stand
// for theirs.
func (p *pool) restoreListener(o *listener, addr, name string, fds []int) error {
	var g *inherit.Group
	for i, now := range p.spec.Listen {
		if p.nameAt(p.spec.Listen, i) != name {
			continue
		}
		if same, err := p.restoreGroup(now, fds); err == nil {
			p.respell(name, addr, now)
			g, addr = same, now
		}
	}
	if g == nil {
		var err error
		if g, err = p.restoreGroup(addr, fds); err != nil {
			return err
		}
	}
	if o == nil {
		p.open = append(p.open, &listener{addr: addr, group: g})
		return nil
	}
	for _, fd := range o.group.FDs() {
		_ = unix.Close(fd)
	}
	o.addr, o.group, o.steered = addr, g, nil
	return nil
}

func (p *pool) restoreGroup(addr string, fds []int) (*inherit.Group, error) {
	listen, err := inherit.Parse(addr)
	if err != nil {
		return nil, err
	}
	return inherit.Restore(listen, p.sharing(), fds)
}

// respell changes the spelling of an address in all generations.
func (p *pool) respell(name, addr, now string) {
	for _, g := range p.generations {
		for i := range g.listen {
			if g.listen[i] == addr && p.nameAt(g.listen, i) == name {
				g.listen = slices.Clone(g.listen)
				g.listen[i] = now
			}
		}
	}
}
