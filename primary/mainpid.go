package primary

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/notify"
	"github.com/norestart/norestart/internal/proc"
)

// A program may say that another of its processes is the main one (MAINPID of
// sd_notify(3)): one that it has started, before it ends itself or stays for other
// work. From then on that one is the process of the slot: it is watched, signalled
// and recorded. Those that were it before end after it, like its descendants.

// tracked is a process whose end is waited for.
type tracked struct {
	proc.Process
	replaced atomic.Bool // by another main process: its end is not that of the worker
}

// former is one that was the main process of a worker.
type former struct {
	id      proc.ID
	process *tracked // nil: under an earlier primary
}

// maxFormer bounds them.
const maxFormer = 16

// kinship is a starter that knows which processes belong together.
type kinship interface {
	BeforeReap(f func(proc.ID) (goesOn bool))
	IsOrphan(pid int, uid uint32) bool
}

// goesOn tells of a process that has ended whether another one goes on in its place:
// it may have said so just before. The loop reads that before the end is handled.
// What ends before the loop has begun is no worker's: it may be waiting for that end.
func (p *Primary) goesOn(id proc.ID) bool {
	if !p.begun.Load() {
		return false
	}
	reply := make(chan bool, 1)
	if !p.post(func(l *loop) { reply <- l.goesOn(id) }) {
		return false
	}
	select {
	case goesOn := <-reply:
		return goesOn
	case <-p.ended:
		return false
	}
}

func (l *loop) goesOn(id proc.ID) bool {
	for s, r := range processes(l.slots()) {
		if r.handle == nil || s.specOf(r).Protocol != control.ProtocolNotify {
			continue
		}
		if idOf(r.handle) == id {
			l.hearing.takeAll()
			l.listenTo(l.hearing)
		}
		if idOf(r.handle) != id && r.was(id) {
			return true
		}
	}
	return false
}

func (r *process) was(id proc.ID) bool {
	return slices.ContainsFunc(r.former, func(f former) bool { return f.id == id })
}

func (r processRecord) former() (all []former) {
	for _, id := range r.Former {
		all = append(all, former{id: id})
	}
	return all
}

// formerIDs are the former main processes.
func (r *process) formerIDs() (all []proc.ID) {
	for _, f := range r.former {
		all = append(all, f.id)
	}
	return all
}

// sent reports whether a message is of a process or of what belongs to it.
func (r *process) sent(m notify.Message) bool {
	if slices.Contains(m.From, r.pid()) {
		return true
	}
	for _, f := range r.former {
		if started, err := proc.StartTime(f.id.PID); err == nil && started == f.id.Started && slices.Contains(m.From, f.id.PID) {
			return true
		}
	}
	return m.From[0] > 0 && (r.group.Holds(m.From[0]) || proc.IsKin(m.From[0], idOf(r.handle)))
}

// follow makes the process pid the main one of a worker.
func (l *loop) follow(s *slot, r *process, pid int) {
	if pid == r.pid() {
		return
	}
	next, err := l.mainProcess(s, r, pid)
	if err != nil {
		l.report(s, r.inc, control.EventWorkerTrouble, fmt.Sprintf("said MAINPID=%d, which is not taken: %v", pid, err))
		return
	}
	f := former{id: idOf(r.handle)}
	if w, ok := r.handle.(*tracked); ok {
		w.replaced.Store(true)
		f.process = w
	}
	r.former = slices.DeleteFunc(append(r.former, f), func(f former) bool { return f.id.PID == pid })
	if w, ok := next.(*tracked); ok {
		r.handle = w
		w.replaced.Store(false)
	} else {
		r.handle = next
		l.watch(s, r.inc, next, r.out)
	}
	l.report(s, r.inc, control.EventWorkerMain, fmt.Sprintf("goes on as pid %d (MAINPID), after pid %d", pid, f.id.PID))
	l.persist(false) // the next primary would take the end of the other for its own
}

// mainProcess is the process pid, which must be of the worker.
func (l *loop) mainProcess(s *slot, r *process, pid int) (proc.Process, error) {
	started, err := proc.StartTime(pid)
	if err != nil {
		return nil, errors.New("it has ended")
	}
	r.former = slices.DeleteFunc(r.former, func(f former) bool { return proc.Ended(f.id.PID) })
	for _, f := range r.former {
		if f.id == (proc.ID{PID: pid, Started: started}) && f.process != nil {
			return f.process, nil
		}
	}
	switch {
	case len(r.former) >= maxFormer:
		return nil, fmt.Errorf("it has had %d main processes that still run", len(r.former))
	case !l.isOf(s, r, pid):
		return nil, errors.New("it is not a process of this worker")
	}
	p, err := l.cfg.Starter.Adopt(pid, started) // of the same process as what was read above
	if err != nil {
		return nil, err
	}
	return p, nil
}

// isOf reports whether the process pid is of a worker: a descendant, or in its
// process group, session or control group. An orphan is of the worker that says so
// if it runs as the user of the worker, which could signal it by itself.
func (l *loop) isOf(s *slot, r *process, pid int) bool {
	for _, o := range processes(l.slots()) {
		if o != r && o.pid() == pid {
			return false
		}
	}
	is := func(root proc.ID) bool { return proc.IsKin(pid, root) }
	if r.group.Holds(pid) || is(idOf(r.handle)) || slices.ContainsFunc(r.formerIDs(), is) {
		return true
	}
	uid := uint32(os.Geteuid())
	if as := s.specOf(r).RunAs; as != nil {
		uid = as.UID
	}
	k, ok := l.cfg.Starter.(kinship)
	return ok && k.IsOrphan(pid, uid)
}
