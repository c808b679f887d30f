package primary

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

// Workers of package worker keep all sockets of their pool for the next primary.
// Other programs cannot: the workers of the agent's pool keep theirs, under names
// made of pool and address.

// appoint lets the agent keep the sockets of the pools whose workers do not, and the
// relay pass on to those that have none.
func (l *loop) appoint() {
	for _, p := range l.pools {
		l.appointFor(p)
	}
}

func (l *loop) appointFor(p *pool) {
	if relay, err := l.pool(l.cfg.Spec.Relay); err == nil && p.spec.Share == control.ShareRelay {
		p.relay = relay
	}
	agent, err := l.pool(l.cfg.Spec.Agent)
	if err == nil && !p.protocol.speaks() {
		p.keeper, agent.keeps = agent, append(agent.keeps, p)
	}
}

// keptName is the agent's name of a listener: its address as bound, which stays
// if the configuration spells it differently.
func (p *pool) keptName(o *listener) string { return p.spec.Name + " " + o.group.Addr() }

// equipKeeper adds the sockets that a new worker keeps for other pools.
func (p *pool) equipKeeper(b *ipc.Boot, fds []int) []int {
	for _, q := range p.keeps {
		for _, o := range q.open {
			for slot, fd := range o.group.FDs() {
				b.Sockets = append(b.Sockets, ipc.Socket{Name: q.keptName(o), Slot: slot, FD: listenFD + len(fds)})
				fds = append(fds, fd)
			}
		}
	}
	return fds
}

// shareKept gives a worker of the agent all that it is to keep: while it was
// started, something may have been added.
func (p *pool) shareKept(l *loop, keeper *process) {
	if len(p.keeps) > 0 {
		keeper.keepHearing(l.hearing)
	}
	for _, q := range p.keeps {
		for _, o := range q.open {
			keeper.share(o, q.keptName(o), 0)
		}
		for _, v := range q.supervised {
			keeper.keepSupervision(v)
		}
		for _, s := range q.slots {
			keeper.keepStored(s, s.stored)
		}
		for _, r := range processes(q.slots) {
			keeper.keepTerminal(q, r)
		}
	}
}

// mayKeep is the most sockets that a worker has of its own pool and keeps of
// others; of these twice, as a reload may move a pool.
func (p *pool) mayKeep() int {
	n := p.spec.MaxWorkers * len(p.spec.Listen)
	if p.spec.Share == control.ShareSeize {
		n += 2 * p.spec.MaxWorkers // descriptors of seized processes
	}
	if p.keeper != nil {
		n += 2 * p.spec.MaxWorkers // terminals
	}
	for _, q := range p.keeps {
		n += 2 * q.mayKeep()
	}
	if len(p.keeps) > 0 {
		n += maxStored
	}
	return n
}

// unkeep lets the workers of the agent drop sockets that belong to no listener
// any more.
func (p *pool) unkeep(name string) {
	for _, r := range processes(p.slots) {
		if r.conv != nil {
			r.conv.send(ipc.TypeSockets, ipc.Sockets{Drop: []string{name}, Last: true})
		}
	}
}

// wantsKept reports whether the agent is to give back what it keeps, and when it has
// no more to tell: a pool waits for it.
func (p *pool) wantsKept(h ipc.Hello) bool {
	return h.Purpose == ipc.PurposeControl && slices.ContainsFunc(p.keeps, func(q *pool) bool { return q.adoption != nil })
}

// returnedKept takes what the agent gives back, and drops what no pool takes.
func (l *loop) returnedKept(agent *pool, all []ipc.Socket) {
	byName := make(map[string][]ipc.Socket)
	for _, s := range all {
		byName[s.Name] = append(byName[s.Name], s)
	}
	order := func(a, b string) int {
		return cmp.Or(agent.place(a)-agent.place(b), strings.Compare(a, b))
	}
	for _, name := range slices.SortedFunc(maps.Keys(byName), order) {
		sockets := byName[name]
		i := slices.IndexFunc(agent.keeps, func(q *pool) bool { return strings.HasPrefix(name, q.spec.Name+" ") })
		if i >= 0 && l.takeKept(agent.keeps[i], sockets) {
			continue
		}
		closeSockets(sockets)
		if i < 0 || !agent.keeps[i].isKept(name) {
			agent.unkeep(name)
		}
	}
	for _, q := range agent.keeps {
		if g := q.adoption; g != nil {
			g.heard, g.given = true, g.given || !slices.Contains(q.listeners(q.gen), nil)
		}
	}
}

// place orders the names of what the agent keeps: listeners as they were opened, for
// an address may stand there twice, with port 0; last what answers calls of listen(2),
// which takes the sockets.
func (p *pool) place(name string) int {
	n := 0
	for _, q := range p.keeps {
		for _, was := range q.wasOpen {
			if n++; name == q.spec.Name+" "+was.Bound {
				return n
			}
		}
	}
	if strings.Contains(name, keptCalls) {
		return n + 2
	}
	return n + 1
}

// isKept tells whether the agent is to keep what has the name.
func (p *pool) isKept(name string) bool {
	for _, v := range p.supervised {
		if v.keptName() == name {
			return true
		}
	}
	for _, s := range p.slots {
		if slices.ContainsFunc(s.stored, func(d *stored) bool { return s.keptStored(d) == name }) {
			return true
		}
	}
	return p.isTerminalKept(name) || slices.ContainsFunc(p.open, func(o *listener) bool { return p.keptName(o) == name })
}

// takeKept makes a listener of the sockets for an address of a generation; false:
// there is none.
func (l *loop) takeKept(p *pool, sockets []ipc.Socket) bool {
	name, fd := sockets[0].Name, sockets[0].FD
	if l.takeSupervision(p, name, fd) || p.takeStored(name, fd) {
		return true
	}
	if strings.HasPrefix(name, p.spec.Name+keptTerminal) {
		return l.takeTerminal(p, name, fd)
	}
	if p.adoption == nil {
		return false
	}
	p.adoption.given = true
	fds, err := inOrder(sockets, sockets[0].Name)
	if err == nil && p.restoreKept(sockets[0].Name, fds) {
		return true
	}
	if err != nil {
		l.tell(control.Event{Kind: control.EventPoolTrouble, Text: fmt.Sprintf("pool %s: sockets that the agent kept: %v", p.spec.Name, err)})
	}
	return false
}

// restoreKept looks for an address that the sockets were opened for: the one on
// record, else one that is named so, else any that they fit, as with port 0.
func (p *pool) restoreKept(name string, fds []int) bool {
	onRecord := func(addr string) bool {
		return slices.ContainsFunc(p.wasOpen, func(was openRecord) bool { return was.Addr == addr && p.spec.Name+" "+was.Bound == name })
	}
	named := func(addr string) bool { return p.isNamed(addr, name) }
	for _, fits := range []func(addr string) bool{onRecord, named, func(string) bool { return true }} {
		for _, g := range p.generations {
			for i, o := range p.listenersAt(g.listen) {
				if o == nil && fits(g.listen[i]) && p.restoreListener(nil, g.listen[i], p.nameAt(g.listen, i), fds) == nil {
					return true
				}
			}
		}
	}
	return false
}

// isNamed tells whether the agent names the sockets of an address so.
func (p *pool) isNamed(addr, name string) bool {
	listen, err := inherit.Parse(addr)
	listen.Name = ""
	return err == nil && p.spec.Name+" "+listen.String() == name
}
