package primary

import (
	"fmt"
	"iter"
	"slices"
	"sync/atomic"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

// pool is a group of like workers and the sockets that they share.
type pool struct {
	spec       control.PoolSpec
	told       []byte // what its workers do not know of themselves, see Config.Settings
	protocol   protocol
	target     int
	configured int
	open       []*listener      // of all generations in use
	shut       []*inherit.Group // closed, of which the file of a unix socket may be left
	given      *given           // by the manager of the primary
	wasOpen    []openRecord     // by the last primary
	keeper     *pool
	keeps      []*pool                 // of which it is the keeper
	relay      *pool                   // that passes on to this one; nil: none
	waits      *pool                   // that must be ready before this one is started; nil: none
	refused    error                   // why the kernel does not steer
	supervised map[uint64]*supervision // under control.ShareSeize, by incarnation

	slots       []*slot
	generations []*generation // kept ones, oldest first
	lastGen     int
	gen         int // what a new slot runs
	job         *job
	recycled    recycled    // the last replacement for a limit
	bloated     bloated     // the last one of a process that had too much memory from its start
	cured       cured       // the last for their health
	curing      []*slot     // that are to be replaced now for their health
	runs        appointment // of its schedule
	reloads     appointment
	failure     string       // the last one, for status
	adoption    *adoption    // not nil while workers of an earlier primary come back
	givenBack   atomic.Int64 // sockets that conversations with those hold
	ending      bool         // it is in the configuration no more
}

func newPool(spec control.PoolSpec, told []byte, n int) *pool {
	return &pool{spec: spec, told: told, supervised: make(map[uint64]*supervision), protocol: protocols[spec.Protocol], target: n, configured: n}
}

func (p *pool) ready() int { return p.count(control.Ready) }

func (p *pool) count(state control.State) int {
	n := 0
	for _, s := range p.slots {
		if s.state() == state {
			n++
		}
	}
	return n
}

func processes(slots []*slot) iter.Seq2[*slot, *process] {
	return func(yield func(*slot, *process) bool) {
		for _, s := range slots {
			for _, r := range s.processes {
				if !yield(s, r) {
					return
				}
			}
		}
	}
}

func (p *pool) has(such func(*process) bool) bool {
	for _, r := range processes(p.slots) {
		if such(r) {
			return true
		}
	}
	return false
}

func (l *loop) slots() (all []*slot) {
	for _, p := range l.pools {
		all = append(all, p.slots...)
	}
	return all
}

func (p *pool) idle() bool {
	return !slices.ContainsFunc(p.slots, func(s *slot) bool { return !s.idle() })
}

// grow makes sure that the first n slots have their sockets, and gives the new
// ones to every worker to keep.
func (p *pool) grow(n int) error {
	for _, o := range p.open {
		had := o.group.Len()
		if err := o.group.Grow(n); err != nil {
			return err
		}
		p.share(o, had)
	}
	return nil
}

// socketsPerMessage is below the limit of one message of the kernel.
const socketsPerMessage = 32

// share gives the sockets of a listener, from a slot on, to the workers that
// accept on it or keep them.
func (p *pool) share(on *listener, from int) {
	if p.keeper != nil {
		for _, r := range processes(p.keeper.slots) {
			r.share(on, p.keptName(on), from)
		}
		return
	}
	for _, r := range processes(p.slots) {
		if p.accepts(r, on) {
			r.share(on, p.nameFor(r.gen, on), from)
		}
	}
}

// share gives sockets to a worker. They stay open while a message waits in a
// queue.
func (r *process) share(on *listener, name string, from int) {
	for n := on.group.Len(); from < n && r.conv != nil; from += socketsPerMessage {
		m := ipc.Sockets{Last: true}
		for slot := from; slot < min(n, from+socketsPerMessage); slot++ {
			m.Sockets = append(m.Sockets, ipc.Socket{Name: name, Slot: slot})
		}
		release := on.group.Hold()
		o := outgoing{kind: ipc.TypeSockets, body: m, fds: on.group.FDs()[from : from+len(m.Sockets)], free: func() error { release(); return nil }}
		if !r.conv.pass(o) {
			o.release()
		}
	}
}

// slot is a lasting place in a pool: its state, and its processes, their
// conversations and how they ended.
type slot struct {
	slotState
	pool      *pool
	index     int
	name      string // see id
	processes map[uint64]*process
	exits     []control.Exit // newest first

	stored     []*stored   // descriptors that its processes leave to the next
	leftovers  []*leftover // being ended
	leftBefore []leftover  // were being ended by the last primary
}

// keptExits bounds the remembered exits of a slot.
const keptExits = 5

func newSlot(p *pool, index int) *slot {
	return &slot{slotState: slotState{gen: p.gen, hold: rest(p.spec)}, pool: p, index: index, name: workerID(p.spec.Name, index), processes: make(map[uint64]*process)}
}

func (s *slot) id() string { return s.name }

func workerID(pool string, slot int) string { return fmt.Sprintf("%s/%d", pool, slot) }

// visible reports whether the slot is worth a line: in the target, or not yet
// empty.
func (s *slot) visible() bool { return s.index < s.pool.target || !s.idle() }

// accepting is the process of the slot that accepts connections from the sockets
// of a listener; nil: none.
func (s *slot) accepting(o *listener) *process {
	if s.avoided() {
		return nil
	}
	for _, p := range []processState{s.cur, s.next} {
		if s.serving(p) && s.pool.accepts(s.processes[p.inc], o) {
			return s.processes[p.inc]
		}
	}
	return nil
}

func (s *slot) serving(p processState) bool {
	r := s.processes[p.inc]
	return p.serves() && r != nil && !r.silent && !r.leaving && !r.closed
}

// lasts reports whether a retired process may stay as long as it wishes and has
// not been told otherwise.
func (s *slot) lasts() bool {
	return s.pool.spec.MaxOutgoing > 0 && slices.ContainsFunc(s.old, func(p processState) bool { return p.ending == told && !p.final })
}

// note keeps why a process was ended, for its exit.
func (s *slot) note(inc uint64, why string) {
	if r := s.processes[inc]; r != nil && r.reason == "" {
		r.reason = why
	}
}
