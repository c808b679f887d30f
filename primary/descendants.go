package primary

import (
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/proc"
)

// keeper is a starter that knows the descendants of its processes and can end
// them.
type keeper interface {
	Descendants(roots []proc.ID) (map[proc.ID][]proc.ID, error)
	End(known []proc.ID, group proc.Cgroup, patience time.Duration) (ended int, err error)
}

// leftover are the descendants of a worker that has gone, until they have ended.
type leftover struct {
	Processes []proc.ID   `cbor:"processes,omitempty"`
	Group     proc.Cgroup `cbor:"group,omitempty"`
}

func (o leftover) empty() bool { return len(o.Processes) == 0 && o.Group == "" }

// maxLeft bounds the known descendants of one worker. Those beyond it are
// descendants of others, and are found when these are ended.
const maxLeft = 256

// look is something to tell a worker once its descendants are known: when it has
// ended, they can no longer be found.
type look struct {
	slot *slot
	run  *process
	then event // nil: only look
}

// ahead does something that may end a worker once its descendants are known. In a
// control group of its own they are always known.
func (l *loop) ahead(s *slot, inc uint64, then event) {
	r := s.processes[inc]
	if !l.follows(s, r) {
		then(l)
		return
	}
	l.looks = append(l.looks, look{s, r, then})
	l.look()
}

func (l *loop) follows(s *slot, r *process) bool {
	_, ok := l.cfg.Starter.(keeper)
	return ok && r != nil && r.handle != nil && r.group == "" && s.pool.spec.KillGroup != control.KillOwnGroup
}

// signal is [slot.signal], after a look if the signal ends a worker.
func (l *loop) signal(s *slot, inc uint64, sig syscall.Signal) {
	l.ahead(s, inc, func(*loop) { s.signal(inc, sig) })
}

// look finds the descendants of all workers in question, beside the loop: it
// reads a file of each process of the machine. Looks keep their order.
func (l *loop) look() {
	if l.looking || len(l.looks) == 0 {
		return
	}
	asked := l.looks
	l.looks, l.looking = nil, true
	var roots []proc.ID
	for _, a := range asked {
		roots = append(append(roots, idOf(a.run.handle)), a.run.descendants...)
	}
	k, post := l.cfg.Starter.(keeper), l.post
	l.spawn.wg.Go(func() {
		found, err := k.Descendants(roots)
		post(func(l *loop) {
			l.looking = false
			for _, a := range asked {
				l.saw(a, found, err)
			}
			l.look()
		})
	})
}

func idOf(p proc.Process) proc.ID { return proc.ID{PID: p.PID(), Started: p.StartTime()} }

// saw takes the known descendants of one worker.
func (l *loop) saw(a look, found map[proc.ID][]proc.ID, err error) {
	r := a.run
	if err == nil { // else the earlier ones stay
		r.descendants = family(idOf(r.handle), r.descendants, found)
	}
	switch {
	case a.slot.processes[r.inc] != r: // it has ended meanwhile
		l.endLeft(a.slot, r.leave(), nil)
	case a.then != nil:
		a.then(l)
	}
}

// family are the descendants of a worker, or of one of its earlier descendants.
func family(root proc.ID, before []proc.ID, found map[proc.ID][]proc.ID) []proc.ID {
	all := slices.Clone(found[root])
	for _, id := range before {
		if below, lives := found[id]; lives {
			all = append(append(all, id), below...)
		}
	}
	slices.SortFunc(all, func(a, b proc.ID) int { return a.PID - b.PID })
	all = slices.Compact(all)
	return all[:min(len(all), maxLeft)]
}

// lookAgain refreshes the descendants of workers that are ending: they may start
// processes until they have gone.
func (l *loop) lookAgain() {
	for s, r := range processes(l.slots()) {
		if pr, _ := s.find(r.inc); pr.ending != notEnding && (s.pool.spec.MaxOutgoing == 0 || pr.final) && l.follows(s, r) {
			l.looks = append(l.looks, look{slot: s, run: r})
		}
	}
	l.look()
}

// leave returns what a worker that has ended leaves behind, to the first caller
// only.
func (r *process) leave() leftover {
	left := leftover{append(r.descendants, r.formerIDs()...), r.group}
	r.descendants, r.former, r.group = nil, nil, ""
	return left
}

// endLeft ends what a worker of this slot has left behind, with the worker's own
// deadlines. The next primary goes on with it.
func (l *loop) endLeft(s *slot, left leftover, then event) {
	k, ok := l.cfg.Starter.(keeper)
	if !ok || left.empty() || s.pool.spec.KillGroup == control.KillOwnGroup {
		if then != nil {
			then(l)
		}
		return
	}
	entry := &left
	s.leftovers = append(s.leftovers, entry)
	l.changed = true
	patience, post := s.pool.spec.KillAfter, l.post
	l.spawn.wg.Go(func() {
		n, err := k.End(left.Processes, left.Group, patience)
		post(func(l *loop) {
			s.leftovers = slices.DeleteFunc(s.leftovers, func(o *leftover) bool { return o == entry })
			l.endedLeft(s, n, err)
			if then != nil {
				then(l)
			}
		})
	})
}

// leavesSome reports whether the slot of a worker that has ended is not free yet,
// in a pool without surge: what the worker has left behind may not overlap with
// its successor, either. Afterwards then is done.
func (l *loop) leavesSome(s *slot, r *process, then event) bool {
	switch {
	case l.looking && l.follows(s, r):
		l.looks = append(l.looks, look{s, r, then})
	case r.group != "" || len(r.descendants) > 0 || len(r.former) > 0:
		l.endLeft(s, r.leave(), then)
	default:
		return false
	}
	return true
}

// endedLeft reports the result.
func (l *loop) endedLeft(s *slot, n int, err error) {
	l.changed = true
	if n > 0 {
		l.report(s, 0, "worker.leftover", fmt.Sprintf("had left processes behind, which were ended: %d", n))
	}
	if err != nil {
		l.report(s, 0, "worker.trouble", "has left processes behind: "+err.Error())
	}
}

// endsLeft reports whether something that workers left behind is still being
// ended.
func (l *loop) endsLeft() bool {
	for _, s := range l.slots() {
		if len(s.leftovers) > 0 {
			return true
		}
	}
	return false
}

// endLeftAgain goes on with what the last primary was ending.
func (l *loop) endLeftAgain() {
	for _, s := range l.slots() {
		for _, left := range s.leftBefore {
			l.endLeft(s, left, nil)
		}
		s.leftBefore = nil
	}
}

// descendants are those of a process that is about to be ended outside the loop.
func descendants(st Starter, p proc.Process, known []proc.ID) []proc.ID {
	k, ok := st.(keeper)
	if !ok {
		return nil
	}
	found, err := k.Descendants(append(slices.Clone(known), idOf(p)))
	if err != nil {
		return known
	}
	return family(idOf(p), known, found)
}
