package primary

import (
	"fmt"
	"slices"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

// pool is a group of like workers and the sockets that they share.
type pool struct {
	policy
	spec       control.PoolSpec
	target     int
	configured int
	listeners                           // what new workers accept on
	former     *listeners               // what workers of another generation accept on; nil: the same
	steered    map[*inherit.Group][]int // the slots that new connections go to now
	refused    error                    // why the kernel does not steer

	seats       []*seat
	generations []*generation // kept ones, oldest first
	lastGen     int
	gen         int // what a new slot runs
	job         *job
	failure     string     // the last one, for status
	gathering   *gathering // not nil while workers of an earlier primary come back
}

// ready counts the slots with a ready worker.
func (p *pool) ready() int { return p.count(control.Ready) }

// ended counts the slots whose worker has ended and should have: by the
// operator's wish, or because its work is done.
func (p *pool) ended() int { return p.count(control.Stopped) + p.count(control.Done) }

func (p *pool) count(state control.State) int {
	n := 0
	for _, s := range p.seats {
		if s.state() == state {
			n++
		}
	}
	return n
}

func (p *pool) idle() bool {
	return !slices.ContainsFunc(p.seats, func(s *seat) bool { return !s.idle() })
}

// grow makes sure that the first n slots have their sockets.
func (p *pool) grow(n int) error {
	for _, g := range p.groups {
		if err := g.Grow(n); err != nil {
			return err
		}
	}
	return nil
}

// grow makes sure that the first n slots of a pool have their sockets, and gives
// the new ones to every worker to keep.
func (l *loop) grow(p *pool, n int) error {
	if p.gathering != nil {
		return nil // what comes back may be more: listen grows it
	}
	had := p.lengths()
	if err := p.grow(n); err != nil {
		return err
	}
	p.shareFrom(had)
	return nil
}

// lengths are how many sockets each listener has.
func (p *pool) lengths() (n []int) {
	for _, g := range p.groups {
		n = append(n, g.Len())
	}
	return n
}

// shareFrom gives every worker the sockets beyond those that each listener had.
func (p *pool) shareFrom(had []int) {
	for i, g := range p.groups {
		for from := had[i]; from < g.Len(); from += socketsPerMessage {
			p.share(i, from, min(g.Len(), from+socketsPerMessage))
		}
	}
}

// socketsPerMessage is below what one message of the kernel carries
// (SCM_MAX_FD, unix(7)).
const socketsPerMessage = 32

// share gives sockets of one listener to the pool's workers. They stay open as
// long as the pool, so the messages may wait in a queue.
func (p *pool) share(listener, from, to int) {
	m := ipc.Sockets{Last: true}
	for slot := from; slot < to; slot++ {
		m.Sockets = append(m.Sockets, ipc.Socket{Name: p.names[listener], Slot: slot})
	}
	fds := p.groups[listener].FDs()[from:to]
	for _, s := range p.seats {
		for _, r := range s.runs {
			if r.conv != nil && r.acceptsOn(p.groups[listener]) {
				r.conv.pass(outgoing{kind: ipc.TypeSockets, body: m, fds: fds})
			}
		}
	}
}

func (p *pool) status() control.PoolStatus {
	st := control.PoolStatus{
		Name: p.spec.Name, BuiltIn: p.spec.BuiltIn, Listen: []string{}, Share: p.spec.Share,
		Target: p.target, Configured: p.configured, Ready: p.ready(),
		Dead: p.count(control.Dead), Stopped: p.count(control.Stopped), Generation: p.gen,
	}
	for _, g := range p.groups {
		st.Listen = append(st.Listen, g.Addr())
		st.Share = g.Mode()
	}
	for _, s := range p.seats {
		if r := s.runs[s.cur.inc]; s.cur.serves() && r != nil && r.silent {
			st.Silent++
		}
	}
	if st.Ready+p.ended() < p.target {
		st.LastFailure = p.failure
	}
	return st
}

// seat is a slot with what belongs to it in the world: processes, their
// conversations, how they ended.
type seat struct {
	slot
	pool  *pool
	index int
	name  string // see id
	runs  map[uint64]*run
	exits []control.Exit // newest first
}

// keptExits is how many ends of a slot's processes are remembered.
const keptExits = 5

func newSeat(p *pool, index int) *seat {
	return &seat{slot: slot{gen: p.gen}, pool: p, index: index, name: workerID(p.spec.Name, index), runs: make(map[uint64]*run)}
}

// id names the worker, as in "web/2". It is asked for at every turn.
func (s *seat) id() string { return s.name }

func workerID(pool string, slot int) string { return fmt.Sprintf("%s/%d", pool, slot) }

// visible tells whether the slot is worth a line: in the target, or not yet empty.
func (s *seat) visible() bool { return s.index < s.pool.target || !s.idle() }

// takesWork tells whether some process of the slot accepts connections from
// these sockets.
func (s *seat) takesWork(g *inherit.Group) bool {
	return s.serving(s.cur) && s.runs[s.cur.inc].acceptsOn(g) || s.serving(s.next) && s.runs[s.next.inc].acceptsOn(g)
}

func (s *seat) serving(p process) bool {
	r := s.runs[p.inc]
	return p.serves() && r != nil && !r.silent && !r.leaving && !r.closed
}

// lasts tells whether a retired process may stay as long as it wishes and has
// not been told that this is over.
func (s *seat) lasts() bool {
	return s.pool.spec.MaxOutgoing > 0 && slices.ContainsFunc(s.old, func(p process) bool { return p.ending == told && !p.final })
}

// note keeps why a process was ended, for its exit.
func (s *seat) note(inc uint64, why string) {
	if r := s.runs[inc]; r != nil && r.reason == "" {
		r.reason = why
	}
}

// info is what an operator sees of the slot; cpu and memory are added outside
// the loop.
func (s *seat) info(now time.Time) control.WorkerInfo {
	i := control.WorkerInfo{
		ID: s.id(), Pool: s.pool.spec.Name, BuiltIn: s.pool.spec.BuiltIn,
		State: s.state(), Generation: s.gen, Restarts: s.restarts, Outgoing: []control.Process{},
	}
	if r := s.runs[s.cur.inc]; s.cur.some() && r != nil {
		i.PID, i.Generation, i.Incarnation = r.pid(), s.cur.gen, s.cur.inc
		i.Since, i.Up = s.cur.since, now.Sub(s.cur.since)
		i.Connections, i.Requests, i.Hijacked, i.Silent = r.beat.Connections, r.beat.Requests, r.beat.Hijacked, r.silent
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

func (s *seat) beside(p process) control.Process {
	b := control.Process{Generation: p.gen, Incarnation: p.inc, State: control.Starting}
	switch {
	case p.ending != notEnding:
		b.State = control.Draining
	case p.ready:
		b.State = control.Ready
	}
	if r := s.runs[p.inc]; r != nil {
		b.PID, b.Connections, b.Cut = r.pid(), r.beat.Connections, r.cut
	}
	return b
}
