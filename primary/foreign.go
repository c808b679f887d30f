package primary

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/notify"
)

// foreign is the protocol of programs that do not use package worker. They get
// the sockets of their slot by LISTEN_FDS (sd_listen_fds(3)), or when they listen
// (package seize), end by a signal, and may report their state by NOTIFY_SOCKET
// (sd_notify(3)).
type foreign struct{}

func (foreign) speaks() bool { return false }

func (foreign) equip(l *loop, s *slot, r *process) func() (equipment, error) {
	e := equipment{close: func() {}, awaits: l.readyLine(s, r), env: []string{"NORESTART_POOL=" + s.pool.spec.Name, fmt.Sprintf("NORESTART_SLOT=%d", s.index)}}
	if s.specOf(r).Protocol == control.ProtocolNotify {
		e.env = append(e.env, notify.Variable+"="+filepath.Join(l.cfg.Run, notifySocket), "WATCHDOG_USEC="+strconv.FormatInt(s.pool.spec.LostAfter.Microseconds(), 10))
	}
	var own []int
	var err error
	switch s.pool.spec.Share {
	case control.ShareSeize:
		err = l.equipSeized(s, r, &e)
	case control.ShareRelay:
		err = l.equipRelayed(r, &e)
	default:
		own = s.equipSockets(r, &e)
	}
	if s.specOf(r).ListenEnv == "" {
		s.equipStored(&e)
	}
	r.gate = make(chan int, 1)
	nonblock := s.pool.spec.Nonblock
	return func() (equipment, error) {
		if err != nil {
			return e, err
		}
		for _, fd := range own {
			if err := unix.SetNonblock(fd, nonblock); err != nil {
				return e, err
			}
		}
		var pipe [2]int
		if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
			return e, err
		}
		e.gate, e.close = pipe[0], func() { _ = unix.Close(pipe[0]) } // the launcher has it
		r.gate <- pipe[1]
		return e, nil
	}
}

// equipSockets gives a new process the sockets of its slot. It returns those that no
// other process has: they get the mode that it expects.
func (s *slot) equipSockets(r *process, e *equipment) (own []int) {
	for i, o := range s.pool.listeners(r.gen) {
		fd := o.group.FD(s.index)
		e.files, e.listen = append(e.files, fd), append(e.listen, s.pool.nameAt(s.pool.listenOf(r.gen), i))
		if s.unshared(o.group) {
			own = append(own, fd)
		}
	}
	return own
}

// letIn lets a process execute its program, once the record has it: one that stood
// in no record would serve on unknown after the death of this primary, for it says
// no hello to the next. Without a word its launcher ends.
func (r *process) letIn(in bool) {
	select {
	case gate := <-r.gate:
		if in {
			_, _ = unix.Write(gate, []byte{1}) // it has gone: its exit tells
		}
		_ = unix.Close(gate)
	default: // there is none, or it has passed
	}
}

// recordSoon is how long starts are collected before they are written down.
const recordSoon = time.Millisecond

// atGate writes down that a process has been started, and lets it in.
func (l *loop) atGate(r *process) {
	if r.gate == nil {
		return
	}
	if l.waiting = append(l.waiting, r); len(l.waiting) == 1 {
		post := l.post
		time.AfterFunc(recordSoon, func() { post(func(l *loop) { l.persist(false) }) })
	}
}

// unshared reports whether no process besides a new one has the slot's socket:
// only then it is made blocking, as programs expect from systemd. A process that
// made it non-blocking for itself would hang in accept(2).
func (s *slot) unshared(g *inherit.Group) bool {
	if g.Mode() == inherit.Slots {
		return len(s.processes) == 1
	}
	n := 0
	for _, o := range s.pool.slots {
		n += len(o.processes)
	}
	return n == 1
}

// stuckAfter is the time from the stop signal until connections come to the slot
// again: a process that shares its socket with its successor may wait in
// accept(2) for a connection that the successor took, and ends when it gets
// another.
const stuckAfter = 500 * time.Millisecond

// drain steers the whole slot away, because process and successor have the same
// socket. Until the stop signal the process can accept what waits there.
func (foreign) drain(l *loop, s *slot, r *process, _ ipc.Drain) bool {
	if !r.leaving {
		r.extended = time.Time{} // that was for its start
	}
	if l.stopping {
		return false
	}
	if r.asked = true; s.pool.relay != nil {
		l.leaveRelay(s, r, time.Now().Add(s.pool.spec.KillAfter))
	} else {
		l.steerAway(s, r)
	}
	return true
}

// turnEvery is how often a process looks whether it is its turn.
const turnEvery = 10 * time.Millisecond

func (l *loop) steerAway(s *slot, r *process) {
	if s.lastOpen() {
		l.later(s, r, turnEvery, func(l *loop) { l.steerAway(s, r) })
		return
	}
	r.avoided = true
	l.later(s, r, s.pool.spec.LameDuck, func(l *loop) { l.stopProgram(s, r) })
}

// stopProgram sends the stop signal, once nothing waits in the sockets of the slot:
// when the slot is emptied, nobody else accepts it.
func (l *loop) stopProgram(s *slot, r *process) {
	if s.queued(r) && !s.pool.ending { // to whose sockets connections come until the end
		l.later(s, r, turnEvery, func(l *loop) { l.stopProgram(s, r) })
		return
	}
	l.askToEnd(s, r)
	l.notStuck(s, r)
}

// askToEnd sends the stop signal. That is on record before: some programs take a
// second one for an order to end at once.
func (l *loop) askToEnd(s *slot, r *process) {
	if r.told = true; !l.stopping {
		l.persist(false)
	}
	s.signal(r.inc, s.pool.stopSignal())
}

func (l *loop) notStuck(s *slot, r *process) {
	l.later(s, r, stuckAfter, func(*loop) { r.avoided, r.closed = false, true })
}

// rearmForeign goes on with what an adopted program was told, or has said itself. One
// that was not told yet is told now.
func (l *loop) rearmForeign(s *slot, r *process) {
	p, _ := s.find(r.inc)
	switch {
	case r.told && !r.closed:
		r.avoided = true
		l.notStuck(s, r)
	case !r.told && p.ending == told:
		l.drain(s, action{inc: r.inc})
	case !r.told && p.ending == termed:
		l.term(s, r.inc)
	}
	if r.leaving {
		l.mustLeave(s, r, s.pool.spec.DrainTimeout)
	}
	if !r.reloading.IsZero() {
		l.mustReload(s, r)
	}
}

// queued reports whether connections wait in the sockets of the slot alone.
func (s *slot) queued(r *process) bool {
	var own []unix.PollFd
	for _, o := range s.pool.listeners(r.gen) {
		if o != nil && o.group.Mode() == inherit.Slots {
			own = append(own, unix.PollFd{Fd: int32(o.group.FD(s.index)), Events: unix.POLLIN})
		}
	}
	n, _ := unix.Poll(own, 0) // after an error it is not waited for
	return n > 0
}

// lastOpen tells whether new connections could go nowhere but to this slot, and
// another one will soon be open again.
func (s *slot) lastOpen() bool {
	soon := false
	for _, o := range s.pool.slots {
		switch {
		case o == s || !o.serving(o.cur):
		case o.avoided():
			soon = true
		default:
			return false
		}
	}
	return soon
}

// later does something unless the process has ended by then.
func (l *loop) later(s *slot, r *process, after time.Duration, then event) {
	post := l.post
	r.timers = append(r.timers, time.AfterFunc(after, func() {
		post(func(l *loop) {
			if s.processes[r.inc] == r {
				then(l)
			}
		})
	}))
}

// readyByTime makes a process ready that has no other way to say so, when it has
// run for long enough.
func (l *loop) readyByTime(s *slot, r *process) {
	spec := s.specOf(r)
	if spec.Protocol != control.ProtocolMute || spec.ReadyLine != "" {
		return
	}
	ready := func(l *loop) { l.becameReady(s, r.inc) }
	if left := spec.ReadyAfter - time.Since(r.since); left > 0 {
		l.later(s, r, left, ready)
		return
	}
	ready(l)
}

// readyLine looks for the line of output by which a process says that it is
// ready, until it returns true; nil: it uses another way.
func (l *loop) readyLine(s *slot, r *process) func(line string) bool {
	line := s.specOf(r).ReadyLine
	if line == "" {
		return nil
	}
	pattern, err := regexp.Compile(line)
	if err != nil {
		return nil // app.check refuses it
	}
	post := l.post
	return func(line string) bool {
		found := pattern.MatchString(line)
		if found {
			post(func(l *loop) {
				if s.processes[r.inc] == r {
					l.becameReady(s, r.inc)
				}
			})
		}
		return found
	}
}

// avoided reports whether the slot gets no new connections for now.
func (s *slot) avoided() bool {
	for _, r := range s.processes {
		if r.avoided {
			return true
		}
	}
	return false
}

// believe takes adopted programs that were starting for ready if there was neither a
// primary nor an agent to hear them: they will not say it again. If an agent heard
// them, only what the last primary read in its last moments is lost, and their time
// to become ready decides.
func (l *loop) believe(p *pool) {
	for s, r := range processes(p.slots) {
		place, _ := s.find(r.inc)
		if s.specOf(r).Protocol == control.ProtocolNotify && r.handle != nil && !r.gone && !place.ready && place.ending == notEnding {
			if r.unsure = p.adoption != nil && p.adoption.heard; !r.unsure {
				l.becameReady(s, r.inc)
			}
		}
	}
}

// specOf is the spec of the pool as a process of it has it.
func (s *slot) specOf(r *process) control.PoolSpec {
	return s.pool.generation(r.gen).within(s.pool.spec)
}
