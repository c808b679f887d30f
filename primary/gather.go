package primary

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

// gatherTimeout is how long a registered process that lives may take to say
// hello before it is taken for dead: it holds sockets that nobody serves.
const gatherTimeout = 5 * time.Second

func (cfg Config) patience() time.Duration {
	if cfg.gather > 0 {
		return cfg.gather
	}
	return gatherTimeout
}

// blindTimeout is how long a primary without a record waits for survivors that
// it knows nothing of.
const blindTimeout = 300 * time.Millisecond

// gathering is a pool whose workers outlived their primary: until they have
// given its sockets back, nothing of it is started, and its exits wait.
type gathering struct {
	until    time.Time
	deferred []event
	blind    bool // no record names who lives: whoever does must show up in time
	refused  bool // the addresses could not be opened, and it was said
	tally
	retry time.Time

	// When the last primary moved the pool to other addresses: those that it
	// had moved it from, if there are any, and what has come back of them.
	former      listeners
	formerTally tally
}

// tally is how far asking for the sockets is.
type tally struct {
	asked int // workers
	most  int // sockets that one of them has
}

// returned takes in the sockets that a survivor gives back.
func (l *loop) returned(k known, all []ipc.Socket) {
	p := k.seat.pool
	if r := k.seat.runs[k.inc]; r != nil && r.former && p.gathering != nil {
		l.returnedFormer(p, all)
		return
	}
	if p.gathering == nil || len(all) <= p.listeners.sockets() {
		closeSockets(all)
		return
	}
	groups, rest, err := p.regroup(all)
	if err != nil {
		closeSockets(all)
		l.tell(control.Event{Kind: "pool.trouble", Text: fmt.Sprintf("pool %s: sockets of a survivor: %v", p.spec.Name, err)})
		return // somebody else may do better
	}
	closeSockets(rest)
	p.drop()
	p.groups = groups
}

// sockets counts those of all listeners.
func (s listeners) sockets() (n int) {
	for _, g := range s.groups {
		n += g.Len()
	}
	return n
}

// drop lets go of our copies of sockets that have come again.
func (s listeners) drop() {
	for _, g := range s.groups {
		for _, fd := range g.FDs() {
			_ = unix.Close(fd) // a survivor has it, too
		}
	}
}

// regroup makes the groups of a pool's addresses of the sockets, by listener
// and slot. A listener that the earlier primary did not have is opened. The
// rest belongs to listeners that there are no more.
func (p *pool) regroup(all []ipc.Socket) (groups []*inherit.Group, rest []ipc.Socket, err error) {
	var names, addrs []string
	for i, addr := range p.spec.Listen {
		listen, name, fds, err := p.offered(all, i, addr)
		if err != nil {
			return nil, nil, err
		}
		var g *inherit.Group
		if len(fds) > 0 {
			g, addr, err = p.restoreGroup(addr, name, fds)
		} else {
			g, err = inherit.Open(listen, p.spec.Share)
		}
		if err != nil {
			return nil, nil, err
		}
		groups, names, addrs = append(groups, g), append(names, name), append(addrs, addr)
	}
	p.names, p.addrs = names, addrs
	return groups, slices.DeleteFunc(all, func(s ipc.Socket) bool { return slices.Contains(names, s.Name) }), nil
}

// offered are the sockets among all that are for the pool's i-th address.
func (p *pool) offered(all []ipc.Socket, i int, addr string) (l inherit.Listen, name string, fds []int, err error) {
	if l, err = inherit.Parse(addr); err != nil {
		return l, "", nil, err
	}
	name = listenerName(l.Name, p.spec.Name, i)
	fds, err = inOrder(all, name)
	return l, name, fds, err
}

// restoreGroup makes a group of sockets that listen on an address, or on the one
// that the earlier primary had for this listener: a new address is opened by the
// next reload.
func (p *pool) restoreGroup(addr, name string, fds []int) (*inherit.Group, string, error) {
	listen, err := inherit.Parse(addr)
	if err != nil {
		return nil, "", err
	}
	g, err := inherit.Restore(listen, p.spec.Share, fds)
	if err == nil {
		return g, addr, nil
	}
	for i, before := range p.addrs {
		old, parseErr := inherit.Parse(before)
		if parseErr != nil || listenerName(old.Name, p.spec.Name, i) != name {
			continue
		}
		if g, restoreErr := inherit.Restore(old, p.spec.Share, fds); restoreErr == nil {
			return g, before, nil
		}
	}
	return nil, "", err
}

// inOrder are the descriptors of one listener by slot.
func inOrder(all []ipc.Socket, name string) ([]int, error) {
	var mine []ipc.Socket
	for _, s := range all {
		if s.Name == name {
			mine = append(mine, s)
		}
	}
	slices.SortFunc(mine, func(a, b ipc.Socket) int { return a.Slot - b.Slot })
	var fds []int
	for i, s := range mine {
		if s.Slot != i {
			return nil, fmt.Errorf("listener %s: the socket of slot %d is missing", name, i)
		}
		fds = append(fds, s.FD)
	}
	return fds, nil
}

func closeSockets(all []ipc.Socket) {
	for _, s := range all {
		_ = unix.Close(s.FD) // ours to drop
	}
}

// again lets the survivors come anew, to be asked for the sockets: whoever was
// asked before has not given them back.
func (g *gathering) again(p *pool) {
	g.tally, g.formerTally = tally{}, tally{}
	for _, s := range p.seats {
		for _, r := range s.runs {
			if r.conv != nil {
				r.conv.close()
			}
		}
	}
}

// gather looks whether a pool whose workers outlived their primary is complete.
func (l *loop) gather(p *pool) {
	g := p.gathering
	silent := p.silent()
	switch {
	case l.stopping: // nothing is started any more; who is silent is told by TERM
	case len(silent) > 0 && time.Now().Before(g.until):
		return
	case len(silent) > 0:
		for _, s := range silent {
			for inc, r := range s.runs {
				if r.conv == nil {
					s.note(inc, fmt.Sprintf("said no hello to the new primary within %v", l.cfg.patience()))
					s.signal(inc, sigKill)
				}
			}
		}
		return // their exits come next
	case g.waits(p, l.cfg.patience()):
		return // the sockets are on their way
	case time.Now().Before(g.retry):
		return
	default:
		p.reunite()
		had := p.lengths()
		if err := p.listen(); err != nil && g.blind && !p.alive() {
			l.fatal, l.stopping = err, true // nobody gave it back: it is somebody else's
		} else if err != nil {
			g.later(l, p, err)
			return
		} else {
			p.shareFrom(append(had, make([]int, len(p.groups)-len(had))...))
		}
	}
	p.gathering = nil
	for _, e := range g.deferred {
		e(l)
	}
}

// retryEvery is how often the addresses of a pool are tried that somebody else
// holds.
const retryEvery = time.Second

func (g *gathering) later(l *loop, p *pool, err error) {
	if !g.refused {
		g.refused = true
		l.tell(control.Event{Kind: "pool.trouble", Text: fmt.Sprintf("pool %s: %v", p.spec.Name, err)})
	}
	if len(p.groups) == 0 {
		g.again(p)
	}
	g.retry = time.Now().Add(retryEvery)
	l.wake(retryEvery + time.Millisecond)
}

// waits tells whether sockets may still be on their way.
func (g *gathering) waits(p *pool, patience time.Duration) bool {
	until := g.until
	if g.blind {
		if time.Now().Before(until) {
			return true // nobody knows how many there are
		}
		until = until.Add(patience) // for the sockets of those who have come
	}
	if len(p.spec.Listen) == 0 || time.Now().After(until) {
		return false
	}
	if len(g.former.addrs) == 0 {
		return p.listeners.sockets() < max(g.most, 1) && p.alive()
	}
	return p.listeners.sockets() < max(g.most, 1) && p.gives(false) || g.former.sockets() < max(g.formerTally.most, 1) && p.gives(true)
}

// silent are the slots with a process that has not said hello.
func (p *pool) silent() []*seat {
	var all []*seat
	for _, s := range p.seats {
		for _, r := range s.runs {
			if r.conv == nil && !r.gone {
				all = append(all, s)
				break
			}
		}
	}
	return all
}

// alive tells whether any process of the pool lives.
func (p *pool) alive() bool {
	return slices.ContainsFunc(p.seats, func(s *seat) bool {
		for _, r := range s.runs {
			if !r.gone {
				return true
			}
		}
		return false
	})
}
