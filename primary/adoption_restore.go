package primary

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/proc"
)

// restore makes a pool of the record and of the processes that live.
func (l *loop) restore(p *pool, r poolRecord, sameBoot bool) error {
	p.lastGen, p.failure, p.wasOpen = r.LastGen, r.Failure, r.Open
	p.reloads = r.Reloads.appointment()
	survivors := 0
	for i, sr := range r.Slots {
		s := newSlot(p, i)
		s.want, s.hold, s.gen = want(sr.Want), sr.Hold, sr.Gen
		s.failures, s.recent, s.restarts, s.exits, s.crashes = sr.Failures, sr.Recent, sr.Restarts, sr.Exits, sr.Crashes
		s.coming, s.alone = plan{sr.Coming, sr.Within}, sr.Alone
		p.slots = append(p.slots, s)
		if sameBoot {
			s.leftBefore = sr.Left
			survivors += l.adoptSlot(s, sr)
		} else if p.spec.Schedule != "" && sr.Cur != nil {
			s.hold = control.Done
			l.tell(control.Event{Kind: control.EventPoolMissed, Text: fmt.Sprintf("pool %s: its run ended with the machine, and is not begun again", p.spec.Name)})
		}
	}
	p.target = r.Target
	p.gen = r.Gen
	if l.im != nil {
		l.im.restoreSupervised(p)
		l.im.restoreStored(p)
		return l.im.restoreListeners(p)
	}
	if survivors == 0 && r.Stored > 0 && sameBoot {
		p.adoption = &adoption{until: time.Now().Add(l.cfg.patience())} // the agent may have them
	}
	if survivors > 0 {
		p.adoption = &adoption{until: time.Now().Add(l.cfg.patience())}
		l.tell(control.Event{Kind: control.EventPoolAdopting, Text: fmt.Sprintf("pool %s: %d workers outlived their primary", p.spec.Name, survivors)})
	}
	return nil
}

// adoptSlot takes over the living processes of a slot, and returns their number.
func (l *loop) adoptSlot(s *slot, r slotRecord) (n int) {
	take := func(r processRecord) processState {
		p, ok := l.adopt(s, r)
		if ok {
			n++
			return p
		}
		return l.departed(s, r)
	}
	if r.Cur != nil {
		s.cur = take(*r.Cur)
	}
	if r.Next != nil {
		s.next = take(*r.Next)
	}
	for _, o := range r.Old {
		s.old = append(s.old, take(o))
	}
	return n
}

// departed places a process that ended unobserved: its exit comes when the loop
// runs, and is treated like any other.
func (l *loop) departed(s *slot, r processRecord) processState {
	s.processes[r.Inc] = &process{inc: r.Inc, gen: r.Gen, since: r.Since, handle: departed{r.PID, r.Start}, group: r.Group, former: r.former(), closed: true, reason: r.Reason}
	if l.im != nil && l.im.Outputs[r.Inc].FD > 0 {
		s.processes[r.Inc].out = l.spawn.reopen(s.id(), r, l.im, false)
	}
	l.adopted = append(l.adopted, adoptee{s, r.Inc})
	return r.state()
}

// departed is a process that has gone.
type departed struct {
	pid   int
	start uint64
}

func (d departed) PID() int                  { return d.pid }
func (d departed) StartTime() uint64         { return d.start }
func (departed) Wait() <-chan proc.Exit      { return nil }
func (departed) Signal(syscall.Signal) error { return os.ErrProcessDone }
func (departed) Usage() (proc.Usage, error)  { return proc.Usage{}, os.ErrProcessDone }
func (r processRecord) state() processState {
	return processState{
		inc: r.Inc, gen: r.Gen, ready: r.Ready, readyAt: r.ReadyAt, since: r.Since,
		ending: ending(r.Ending), final: r.Final, linger: r.Linger, reason: r.Reason,
	}
}

// adopt takes over one process, whoever started it.
func (l *loop) adopt(s *slot, r processRecord) (processState, bool) {
	p, err := l.cfg.Starter.Adopt(r.PID, r.Start)
	if err != nil || l.im == nil && isZombie(p) {
		return processState{}, false // it has gone
	}
	run := &process{inc: r.Inc, gen: r.Gen, since: r.Since, handle: p, group: r.Group, closed: r.Closed, reason: r.Reason, status: r.Status, leaving: r.Leaving, told: r.Told, asked: r.Told, private: r.Private, reloading: r.Reloading}
	if s.pool.protocol.speaks() {
		run.heard, run.orphaned = time.Now(), s.pool.spec.Orphan != control.OrphanServe
	}
	run.former = r.former()
	s.processes[r.Inc] = run
	out := l.spawn.reopen(s.id(), r, l.im, s.specOf(run).TTY)
	if run.out = out; l.im != nil && l.im.Outputs[r.Inc].Found {
		run.early = !r.Ready // the image before this one read it, and no more
	} else if out != nil && !r.Ready {
		out.awaits = l.readyLine(s, run)
	}
	l.watch(s, r.Inc, p, out)
	l.adopted = append(l.adopted, adoptee{s, r.Inc})
	return r.state(), true
}

// isZombie reports whether a process of an earlier primary ended before it was
// adopted. It counts as gone, reaped or not.
func isZombie(p proc.Process) bool {
	_, err := p.Usage()
	return errors.Is(err, os.ErrProcessDone)
}

// adoptee is a process that was taken over; its timers begin anew when the loop
// runs.
type adoptee struct {
	slot *slot
	inc  uint64
}

// rearm starts the timers of adopted processes anew: a deadline that is late by
// the time without a primary is better than none.
func (l *loop) rearm() {
	all := l.adopted
	l.adopted = nil
	for _, a := range all {
		s := a.slot
		run := s.processes[a.inc]
		if run.out != nil && run.out.file != nil {
			l.spawn.wg.Go(run.out.read)
		}
		if _, gone := run.handle.(departed); gone {
			l.missed(s, run)
			continue
		}
		p, at := s.find(a.inc)
		spec := s.pool.spec
		if !s.pool.protocol.speaks() {
			l.rearmForeign(s, run)
		}
		switch {
		case p.ending == told && (spec.MaxOutgoing == 0 || p.final):
			l.after(s, action{timer: hDrainTimeout, inc: a.inc, after: spec.LameDuck + spec.DrainTimeout})
		case p.ending == termed:
			l.after(s, action{timer: hKillTimeout, inc: a.inc, after: spec.KillAfter})
		case p.ending == killed:
			l.signal(s, a.inc, sigKill)
		case !p.ready && run.early:
			l.becameReady(s, a.inc)
		case !p.ready:
			l.after(s, action{timer: hReadyTimeout, inc: a.inc, after: spec.ReadyTimeout})
			l.readyByTime(s, run)
			l.readyByDial(s, run)
		case at == atCur:
			l.after(s, action{timer: hStable, inc: a.inc, after: spec.BackoffReset})
		}
	}
}

// missed handles the end of a process that nobody saw.
func (l *loop) missed(s *slot, r *process) {
	why, lines := r.out.finish()
	if r.reason == "" {
		r.reason = "it ended while there was no primary"
	}
	l.exited(s, r.inc, proc.Exit{Code: -1, Unknown: true, At: time.Now()}, why, lines)
}

// alarm starts the timers of a whole pool: for its adoption and for the back-off
// of its slots.
func (l *loop) alarm() {
	l.endLeftAgain()
	for _, p := range l.pools {
		if p.adoption != nil {
			l.wake(time.Until(p.adoption.until) + time.Millisecond)
		}
		for _, s := range p.slots {
			if s.hold == control.Backoff {
				s.waiting = 0
				l.after(s, action{timer: hBackoff, after: p.spec.BackoffMin})
			}
		}
	}
}

// restoreGenerations makes the kept generations executable again: by the file if
// it is unchanged, else by what was kept of it.
func (p *pool) restoreGenerations(r poolRecord, im *image) {
	for _, g := range r.Generations {
		b, err := im.pinned(p.spec.Name, g)
		if err != nil {
			b, err = p.findBinary(g)
		}
		if err != nil {
			continue // nothing of it is left
		}
		p.generations = append(p.generations, &generation{
			number: g.Number, binary: b, program: program{g.Argv, g.Env, g.Dir}, script: g.Script, since: g.Since, kept: g.Kept, made: g.Made,
			outcome: g.judged(r.Gen), why: g.Why, decided: g.Decided, of: g.Of, build: g.Build, listen: p.listenOn(r, g),
		})
	}
}

// listenOn are the addresses of a generation on record. Earlier primaries
// recorded only those for new workers, those that a reload moved from, and which
// processes accept on the latter.
func (p *pool) listenOn(r poolRecord, g generationRecord) []string {
	if len(g.Listen) > 0 {
		return g.Listen
	}
	for _, s := range r.Slots {
		if slices.ContainsFunc(s.processes(), func(o processRecord) bool { return o.Previous && o.Gen == g.Number }) {
			return r.Previous
		}
	}
	if len(r.Listen) > 0 {
		return r.Listen
	}
	return p.spec.Listen
}

func (p *pool) findBinary(g generationRecord) (*proc.Binary, error) {
	b, err := proc.Pin(g.Path)
	if err == nil {
		if dev, ino := b.Identity(); g.Script || dev == g.Dev && ino == g.Ino && !g.writtenAnew() {
			return b, nil
		}
		_ = b.Close()
	}
	if g.Kept == "" || g.Script { // a script lasts by its path
		return nil, os.ErrNotExist
	}
	fd, err := unix.Open(g.Kept, unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	return proc.PinFD(fd, g.Path)
}

// writtenAnew reports whether the file at the path has another time than the
// build on record. A kept copy does not hold the inode, so its number may belong
// to another file by now.
func (r generationRecord) writtenAnew() bool {
	if r.Build == nil || r.Build.Time.IsZero() {
		return false // an earlier primary, or it was not read yet
	}
	info, err := os.Stat(r.Path)
	return err == nil && !info.ModTime().Truncate(time.Second).Equal(r.Build.Time.Truncate(time.Second))
}

// reopen goes on reading the output of an adopted process: its end of the pipe is
// open for reading, too. A terminal comes back from the agent (takeTerminal).
func (sp *spawner) reopen(id string, r processRecord, im *image, tty bool) *output {
	var old outputImage
	if im != nil {
		old = im.Outputs[r.Inc]
	}
	if old.FD == 0 && tty {
		out := sp.output(id, r.Inc, nil)
		out.screen = newScreen()
		return out
	}
	if old.FD == 0 {
		fd, ok := openPipeOf(r.PID)
		if !ok {
			return nil // its output is somewhere else
		}
		old.FD = fd
	}
	out := sp.output(id, r.Inc, os.NewFile(uintptr(old.FD), "worker output"))
	if out.screen = old.Screen; out.screen != nil {
		out.screen.news = make(chan struct{})
	}
	out.partial, out.cut, out.cause = old.Partial, old.Cut, old.Cause
	for _, line := range old.Tail {
		out.remember(line)
	}
	return out
}

// openPipeOf opens our end of a process's output. If that is not a pipe, or its
// writer cannot read it, no primary made it: the process has redirected its
// output.
func openPipeOf(pid int) (fd int, ok bool) {
	path := fmt.Sprintf("/proc/%d/fd/1", pid)
	to, err := os.Readlink(path)
	if err != nil || !strings.HasPrefix(to, "pipe:[") {
		return -1, false
	}
	st, err := os.Lstat(path) // proc_pid_fd(5): its mode is that of the descriptor
	if err != nil || st.Mode().Perm()&0o600 != 0o600 {
		return -1, false
	}
	fd, err = unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	return fd, err == nil
}

// lost reports whether the recorded process that serves has ended, and none is
// being prepared: then an unrecorded one serves the slot.
func (s *slot) lost() bool {
	r := s.processes[s.cur.inc]
	if r == nil || s.next.some() {
		return false
	}
	_, gone := r.handle.(departed)
	return gone
}

// unrecorded takes over a process that proved itself and stands in no record: the
// primary was killed before it wrote the record.
func (l *loop) unrecorded(h ipc.Hello, pid int) (known, error) {
	if h.Incarnation > l.before {
		return known{}, errRefused // of this primary, and reaped
	}
	for _, p := range l.pools {
		for i := range max(len(p.slots), p.spec.MaxWorkers) {
			if workerID(p.spec.Name, i) != h.Worker {
				continue
			}
			for len(p.slots) <= i {
				p.slots = append(p.slots, newSlot(p, len(p.slots)))
			}
			return l.takeUnrecorded(p, p.slots[i], h, pid)
		}
	}
	return known{}, errRefused
}

func (l *loop) takeUnrecorded(p *pool, s *slot, h ipc.Hello, pid int) (known, error) {
	start, err := proc.StartTime(pid)
	if err != nil {
		return known{}, errRefused
	}
	pr, ok := l.adopt(s, processRecord{Inc: h.Incarnation, Gen: h.Generation, PID: pid, Start: start, Ready: h.Ready, ReadyAt: time.Now(), Since: time.Now()})
	if !ok {
		return known{}, errRefused
	}
	p.lastGen = max(p.lastGen, h.Generation)
	l.report(s, h.Incarnation, control.EventWorkerAdopted, fmt.Sprintf("adopted, in no record: pid %d, generation %d", pid, h.Generation))
	if s.want == wantNone && s.index < p.target {
		s.want = wantRun // the record could not say so
	}
	if h.Ready && !h.Draining && s.lost() {
		s.old, s.cur = append(s.old, s.cur), processState{} // its exit comes when the loop runs
	}
	if s.vacant() && p.generation(h.Generation) != nil {
		s.cur, s.gen = pr, pr.gen
	} else {
		t := transition{slotState: s.slotState, pol: p.spec}
		t.retire(&pr, false)
		s.slotState = t.slotState
		l.letGo(s, t.do, h.Incarnation)
	}
	l.rearm()
	return p.known(s, h, s.processes[h.Incarnation]), nil
}

// letGo carries out the actions of retiring an unrecorded process. One that is
// ready is asked to drain when it has joined, and its timers are those of any
// adopted process.
func (l *loop) letGo(s *slot, todo []action, unrecorded uint64) {
	for _, a := range todo {
		if a.inc != unrecorded || a.kind == doTerm {
			l.do(s, a)
		}
	}
}
