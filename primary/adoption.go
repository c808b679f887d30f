package primary

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

// adoptionTimeout is how long a recorded process that lives may take to say
// hello. Then it is killed: it holds sockets that nobody serves.
const adoptionTimeout = 5 * time.Second

func (cfg Config) patience() time.Duration {
	if cfg.adoption > 0 {
		return cfg.adoption
	}
	return adoptionTimeout
}

// blindTimeout is how long a primary without a record waits for unknown
// survivors.
const blindTimeout = 300 * time.Millisecond

// adoption is a pool whose workers outlived their primary. Until they have given
// its sockets back, nothing of it is started, and exits wait.
type adoption struct {
	until    time.Time
	deferred []event
	blind    bool // no record names the survivors: they have to show up in time
	refused  bool // the addresses could not be opened, and an event said so
	given    bool // by the keeper of the pool's sockets
	heard    bool // it has told what programs said while there was no primary
	retry    time.Time
	last     time.Time     // if blind: until when workers that hold the addresses are waited for
	tallies  map[int]tally // by generation
}

// tally is the progress of asking for sockets.
type tally struct {
	asked int // workers that were asked
	most  int // the most sockets that one of them has
}

// returned takes the sockets that a survivor gives back: for each address the
// largest set.
func (l *loop) returned(k known, all []ipc.Socket) {
	p := k.slot.pool
	if len(p.keeps) > 0 {
		l.returnedKept(p, all)
		return
	}
	if r := k.slot.processes[k.inc]; r != nil && p.adoption != nil {
		var err error
		if all, err = p.take(p.listenOf(r.gen), all); err != nil { // another survivor may do better
			l.tell(control.Event{Kind: control.EventPoolTrouble, Text: fmt.Sprintf("pool %s: sockets of a survivor: %v", p.spec.Name, err)})
		}
	}
	closeSockets(all)
}

// take makes listeners of the sockets for these addresses. The caller closes the
// rest.
func (p *pool) take(addrs []string, all []ipc.Socket) (rest []ipc.Socket, err error) {
	for i, o := range p.listenersAt(addrs) {
		name := p.nameAt(addrs, i)
		fds, err := inOrder(all, name)
		if err == nil && len(fds) > 0 && (o == nil || len(fds) > o.group.Len()) {
			if err = p.restoreListener(o, addrs[i], name, fds); err == nil {
				all = slices.DeleteFunc(all, func(s ipc.Socket) bool { return s.Name == name })
			}
		}
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// sockets counts those that are open at these addresses.
func (p *pool) sockets(addrs []string) (n int) {
	for _, o := range p.listenersAt(addrs) {
		if o != nil {
			n += o.group.Len()
		}
	}
	return n
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
		_ = unix.Close(s.FD) // ours to close
	}
}

// again closes the conversations of the survivors, which then say hello and are
// asked for the sockets anew.
func (g *adoption) again(p *pool) {
	g.tallies, g.given = nil, false
	if p.keeper != nil {
		p = p.keeper
	}
	for _, r := range processes(p.slots) {
		if r.conv != nil {
			r.conv.close()
		}
	}
}

// completeAdoption checks whether a pool whose workers outlived their primary is
// complete.
func (l *loop) completeAdoption(p *pool) {
	g := p.adoption
	silent := p.protocol.speaks() && p.has((*process).unheard)
	switch {
	case l.stopping: // nothing is started any more; who is silent is told by TERM
	case silent && (time.Now().Before(g.until) || !l.heardSince(g.until)):
		return
	case silent:
		for s, r := range processes(p.slots) {
			if r.unheard() {
				s.note(r.inc, fmt.Sprintf("did not say hello to the new primary within %v", l.cfg.patience()))
				l.signal(s, r.inc, sigKill)
			}
		}
		return // their exits come next
	case g.waits(p, l.cfg.patience()):
		return // the sockets are on their way
	case time.Now().Before(g.retry):
		return
	default:
		if err := p.reopen(); err != nil && g.blind && !p.has((*process).lives) {
			if g.expects(l, p, err) {
				return
			}
			l.fatal = err                // another process has it
			_, _ = l.stop("the primary") // the first one is not refused
		} else if err != nil {
			g.later(l, p, err)
			return
		}
	}
	l.believe(p)
	p.adoption = nil
	for _, e := range g.deferred {
		e(l)
	}
}

// expects reports whether a worker of an earlier primary holds an address, and has
// not said hello yet. One of this cluster is waited for as long as it lives, for it
// may be stopped or starved; one that does not tell its cluster only for a time.
func (g *adoption) expects(l *loop, p *pool, err error) bool {
	var held *inherit.InUseError
	if !errors.As(err, &held) {
		return false
	}
	env := environment(held.PID)
	ours := slices.Contains(env, RunVariable+"="+l.cfg.Run)
	if !slices.Contains(env, RoleVariable+"="+RoleWorker) || !ours && time.Now().After(g.last) && l.heardSince(g.last) {
		return false
	}
	if !g.refused {
		g.refused = true
		l.tell(control.Event{Kind: control.EventPoolTrouble, Text: fmt.Sprintf("%v: it is waited for, as a worker that an earlier primary left", err)})
	}
	g.until = time.Now().Add(blindTimeout)
	l.wake(blindTimeout + time.Millisecond)
	return true
}

// environment is that with which a process was executed; without an entry that says
// something when it cannot be read.
func environment(pid int) []string {
	env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)) // it may have ended
	return strings.Split(string(env), "\x00")
}

// retryEvery is how often a pool's addresses are tried while another process has
// them.
const retryEvery = time.Second

func (g *adoption) later(l *loop, p *pool, err error) {
	if !g.refused {
		g.refused = true
		l.tell(control.Event{Kind: control.EventPoolTrouble, Text: fmt.Sprintf("pool %s: %v", p.spec.Name, err)})
	}
	if len(p.open) == 0 {
		g.again(p)
	}
	g.retry = time.Now().Add(retryEvery)
	l.wake(retryEvery + time.Millisecond)
}

// waits reports whether sockets may still be on their way.
func (g *adoption) waits(p *pool, patience time.Duration) bool {
	until := g.until
	if g.blind {
		if time.Now().Before(until) {
			return true // their number is unknown
		}
		until = until.Add(patience) // for the sockets of those that have come
	}
	if p.keeper != nil {
		return time.Now().Before(until) && !g.given && p.keeper.has(func(r *process) bool { return !r.gone })
	}
	return time.Now().Before(until) && p.has(func(r *process) bool {
		addrs := p.listenOf(r.gen)
		return len(addrs) > 0 && r.mayAccept() && p.sockets(addrs) < max(g.tallies[r.gen].most, 1)
	})
}

// unheard reports whether a process that should have said hello has not.
func (r *process) unheard() bool { return !r.heard.IsZero() && r.conv == nil && !r.gone }

// lives reports whether the process has not been reaped.
func (r *process) lives() bool { return !r.gone }
