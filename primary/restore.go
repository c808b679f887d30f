package primary

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/proc"
)

// restore makes a pool of what a record says and of what still lives.
func (l *loop) restore(p *pool, r poolRecord, sameBoot bool) error {
	p.lastGen, p.failure, p.addrs = r.LastGen, r.Failure, r.Listen
	survivors := 0
	for i, sr := range r.Seats {
		s := newSeat(p, i)
		s.want, s.hold, s.gen = want(sr.Want), sr.Hold, sr.Gen
		s.failures, s.recent, s.restarts, s.exits = sr.Failures, sr.Recent, sr.Restarts, sr.Exits
		s.coming, s.alone = plan{sr.Coming, sr.Within}, sr.Alone
		p.seats = append(p.seats, s)
		if sameBoot {
			survivors += l.adoptSeat(s, sr)
		}
	}
	p.target = r.Target
	p.gen = r.Gen
	if l.im != nil {
		return l.im.regroup(p)
	}
	if survivors > 0 {
		p.gathering = &gathering{until: time.Now().Add(l.cfg.patience()), former: listeners{addrs: r.Former}}
		l.tell(control.Event{Kind: "pool.adopting", Text: fmt.Sprintf("pool %s: %d workers outlived their primary", p.spec.Name, survivors)})
	}
	return nil
}

// adoptSeat takes over the processes of a slot that live, and tells how many.
func (l *loop) adoptSeat(s *seat, r seatRecord) (n int) {
	take := func(r processRecord) process {
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

// departed puts a process into its place that ended while nobody looked: its
// exit comes when the loop runs, and means what every exit means.
func (l *loop) departed(s *seat, r processRecord) process {
	s.runs[r.Inc] = &run{inc: r.Inc, number: r.Gen, since: r.Since, process: departed{r.PID, r.Start}, closed: true, reason: r.Reason}
	if l.im != nil && l.im.Outputs[r.Inc].FD > 0 {
		s.runs[r.Inc].out = l.spawn.reopen(s.id(), r, l.im)
	}
	l.adopted = append(l.adopted, adoptee{s, r.Inc})
	return r.process()
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
func (r processRecord) process() process {
	return process{
		inc: r.Inc, gen: r.Gen, ready: r.Ready, readyAt: r.ReadyAt, since: r.Since,
		ending: ending(r.Ending), final: r.Final, reason: r.Reason,
	}
}

// adopt takes over one process, whoever started it.
func (l *loop) adopt(s *seat, r processRecord) (process, bool) {
	p, err := l.cfg.Starter.Adopt(r.PID, r.Start)
	if err != nil {
		return process{}, false // it has gone
	}
	run := &run{inc: r.Inc, number: r.Gen, since: r.Since, process: p, closed: r.Closed, former: r.Former, reason: r.Reason, heard: time.Now()}
	s.runs[r.Inc] = run
	out := l.spawn.reopen(s.id(), r, l.im)
	run.out = out
	l.watch(s, r.Inc, p, out)
	l.adopted = append(l.adopted, adoptee{s, r.Inc})
	return r.process(), true
}

// adoptee is a process that was taken over; its timers begin anew when the loop runs.
type adoptee struct {
	seat *seat
	inc  uint64
}

// rearm starts the timers of what was adopted. They begin anew: a deadline
// that is late by the time without a primary is better than none.
func (l *loop) rearm() {
	all := l.adopted
	l.adopted = nil
	for _, a := range all {
		s := a.seat
		run := s.runs[a.inc]
		if run.out != nil {
			l.spawn.wg.Go(run.out.read)
		}
		if _, gone := run.process.(departed); gone {
			l.missed(s, run)
			continue
		}
		p, at := s.find(a.inc)
		spec := s.pool.spec
		switch {
		case p.ending == told && (spec.MaxOutgoing == 0 || p.final):
			l.after(s, action{timer: hDrainTimeout, inc: a.inc, after: spec.LameDuck + spec.DrainTimeout})
		case p.ending == termed:
			l.after(s, action{timer: hKillTimeout, inc: a.inc, after: spec.KillAfter})
		case p.ending == killed:
			s.signal(a.inc, sigKill)
		case !p.ready:
			l.after(s, action{timer: hReadyTimeout, inc: a.inc, after: spec.ReadyTimeout})
		case at == atCur:
			l.after(s, action{timer: hStable, inc: a.inc, after: spec.BackoffReset})
		}
	}
}

// missed takes in the end of a process that nobody saw.
func (l *loop) missed(s *seat, r *run) {
	var lines []string
	if r.out != nil {
		lines = r.out.finish()
	}
	if r.reason == "" {
		r.reason = "it ended while there was no primary"
	}
	l.exited(s, r.inc, proc.Exit{Code: -1, Unknown: true, At: time.Now()}, lines)
}

// alarm starts what a whole pool waits for: the end of its gathering, of the
// back-off of its slots.
func (l *loop) alarm() {
	for _, p := range l.pools {
		if p.gathering != nil {
			l.wake(time.Until(p.gathering.until) + time.Millisecond)
		}
		for _, s := range p.seats {
			if s.hold == control.Backoff {
				s.waiting = 0
				l.after(s, action{timer: hBackoff, after: p.spec.BackoffMin})
			}
		}
	}
}

// restoreGenerations makes the kept versions executable again: by the file, if
// it is still the one, else by what was kept of it.
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
			number: g.Number, binary: b, argv: g.Argv, env: g.Env, dir: g.Dir, since: g.Since, burned: g.Burned, kept: g.Kept, made: g.Made,
		})
	}
}

func (p *pool) findBinary(g generationRecord) (*proc.Binary, error) {
	b, err := proc.Pin(g.Path)
	if err == nil {
		if dev, ino := b.Identity(); dev == g.Dev && ino == g.Ino {
			return b, nil
		}
		_ = b.Close()
	}
	if g.Kept == "" {
		return nil, os.ErrNotExist
	}
	fd, err := unix.Open(g.Kept, unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	return proc.PinFD(fd, g.Path)
}

// reopen reads on what an adopted process writes: its end of the pipe is open
// for reading, too.
func (sp *spawner) reopen(id string, r processRecord, im *image) *output {
	var old outputImage
	if im != nil {
		old = im.Outputs[r.Inc]
	}
	if old.FD == 0 {
		fd, ok := openPipeOf(r.PID)
		if !ok {
			return nil // its output is somewhere else
		}
		old.FD = fd
	}
	out := sp.output(id, r.Inc, os.NewFile(uintptr(old.FD), "worker output"))
	out.partial, out.cut = old.Partial, old.Cut
	for _, line := range old.Tail {
		out.remember(line)
	}
	return out
}

// openPipeOf opens our end of a process's output. What is no pipe, or one that
// its writer cannot read, was not made by a primary: the process has sent its
// output elsewhere, and what is there is not ours to read.
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

// left tells whether the process that the record says serves has ended, and
// none is being prepared: whoever serves the slot is a stray.
func (s *seat) left() bool {
	r := s.runs[s.cur.inc]
	if r == nil || s.next.some() {
		return false
	}
	_, gone := r.process.(departed)
	return gone
}

// stray takes over a process that proved itself and stands in no record: the
// primary was killed before it could write it down.
func (l *loop) stray(h ipc.Hello, pid int) (known, error) {
	if h.Incarnation > l.before {
		return known{}, errRefused // of this primary, and reaped
	}
	for _, p := range l.pools {
		for i := range max(len(p.seats), p.spec.MaxWorkers) {
			if workerID(p.spec.Name, i) != h.Worker {
				continue
			}
			for len(p.seats) <= i {
				p.seats = append(p.seats, newSeat(p, len(p.seats)))
			}
			return l.takeStray(p, p.seats[i], h, pid)
		}
	}
	return known{}, errRefused
}

func (l *loop) takeStray(p *pool, s *seat, h ipc.Hello, pid int) (known, error) {
	start, err := proc.StartTime(pid)
	if err != nil {
		return known{}, errRefused
	}
	pr, ok := l.adopt(s, processRecord{Inc: h.Incarnation, Gen: h.Generation, PID: pid, Start: start, Ready: h.Ready, ReadyAt: time.Now(), Since: time.Now()})
	if !ok {
		return known{}, errRefused
	}
	p.lastGen = max(p.lastGen, h.Generation)
	l.report(s, h.Incarnation, "worker.adopted", fmt.Sprintf("adopted, in no record: pid %d, generation %d", pid, h.Generation))
	if s.want == wantNone && s.index < p.target {
		s.want = wantRun // there was no record that could say so
	}
	if h.Ready && !h.Draining && s.left() {
		s.old, s.cur = append(s.old, s.cur), process{} // its exit comes when the loop runs
	}
	if s.vacant() && p.generation(h.Generation) != nil {
		s.cur, s.gen = pr, pr.gen
	} else {
		t := transition{slot: s.slot, pol: p.policy}
		t.retire(&pr, false)
		s.slot = t.slot
		l.letGo(s, t.do, h.Incarnation)
	}
	l.rearm()
	return known{s, h.Incarnation, p.spec, false}, nil
}

// letGo carries out what follows from retiring a stray. One that is ready is
// asked to drain when it has joined, and its timers are those of whoever is
// taken over.
func (l *loop) letGo(s *seat, todo []action, stray uint64) {
	for _, a := range todo {
		if a.inc != stray || a.kind == doTerm {
			l.do(s, a)
		}
	}
}
