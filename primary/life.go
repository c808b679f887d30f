package primary

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/proc"
)

// started notes that a process runs.
func (l *loop) started(s *slot, inc uint64, p proc.Process, out *output) {
	r := s.processes[inc]
	r.handle, r.out = p, out
	l.keepTerminal(s, r)
	l.report(s, inc, control.EventWorkerStarted, fmt.Sprintf("started: pid %d, generation %d", p.PID(), r.gen))
	if r.pending != 0 {
		_ = p.Signal(r.pending)
	}
	if r.conv != nil && r.peer != p.PID() {
		l.impostor(s, r)
	}
	l.atGate(r)
	l.passState(s)
	l.saidEarly()
	if r.early {
		l.becameReady(s, inc)
	}
	l.readyByTime(s, r)
	l.readyByDial(s, r)
}

// spawnFailed notes that a process could not be started at all.
func (l *loop) spawnFailed(s *slot, inc uint64, err error) {
	e := control.Exit{Time: time.Now(), Generation: s.processes[inc].gen, Incarnation: inc, Code: -1, Reason: "could not be started: " + err.Error()}
	l.fail(s, inc, e)
	l.step(s, input{kind: hSpawnFailed, inc: inc, passing: passes(err)})
	if s.hold == control.Dead {
		s.pool.gaveUp(e.Generation, s.id()+" "+e.Reason)
	}
}

// passes reports whether a start failed because of the machine, not the program.
func passes(err error) bool {
	for _, e := range []error{unix.EAGAIN, unix.ENOMEM, unix.EMFILE, unix.ENFILE, unix.ETXTBSY} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// exited handles a process that has been reaped; why is the line of its output
// that says why, lines are its last ones.
func (l *loop) exited(s *slot, inc uint64, e proc.Exit, why func() string, lines []string) {
	r := s.processes[inc]
	if g := s.pool.adoption; g != nil {
		r.gone = true
		g.deferred = append(g.deferred, func(l *loop) { l.exited(s, inc, e, why, lines) })
		return
	}
	if s.pool.spec.MaxSurge < 0 && l.leavesSome(s, r, func(l *loop) { l.exited(s, inc, e, why, lines) }) {
		return
	}
	defer l.endLeft(s, r.leave(), nil)
	if r.conv != nil {
		r.conv.close()
	}
	s.pool.dropTerminal(r)
	exit := control.Exit{
		Time: e.At, PID: r.pid(), Generation: r.gen, Incarnation: inc,
		Code: e.Code, Uptime: e.At.Sub(r.since), Reason: r.reason, Lines: slices.Clone(lines),
	}
	if e.Signal != 0 {
		exit.Code, exit.Signal = -1, unix.SignalName(e.Signal)
	}
	exit.Unknown = e.Unknown
	wanted := s.endedByUs(inc)
	orphaned := r.orphaned && e.Signal == 0 && !wanted
	if orphaned && exit.Reason == "" {
		exit.Reason = "it had no primary"
	}
	if exit.Asked = wanted; !wanted {
		exit.Cause = why()
	}
	l.fail(s, inc, exit)
	l.step(s, input{kind: hExit, inc: inc, clean: (exit.Code == 0 || l.presumed(s, exit)) && !orphaned, passing: orphaned, why: cmp.Or(exit.Cause, exit.Reason)})
	l.passState(s)
	if s.hold == control.Dead && !wanted && !orphaned && exit.Code != 0 {
		s.pool.gaveUp(exit.Generation, s.id()+" "+exitText(exit))
	}
	if !wanted && s.hold != control.Done {
		s.pool.failure = s.id() + " " + exitText(exit)
	}
}

// presumed reports whether a process counts as one that has done its work although
// nobody saw how it ended: to run what is run once a second time, or to call for a
// person, would be worse. A pool that waits for it must not be wrong.
func (l *loop) presumed(s *slot, e control.Exit) bool {
	waits := func(p *pool) bool { return slices.Contains(p.spec.DependsOn, s.pool.spec.Name) && !p.begun() }
	return e.Unknown && s.pool.spec.Policy == control.Never && !slices.ContainsFunc(l.pools, waits)
}

// endedByUs reports whether the process was asked to go.
func (s *slot) endedByUs(inc uint64) bool {
	p, _ := s.find(inc)
	return p.ending == told || p.ending == termed
}

// forced reports whether a process that was asked to go was ended by force.
// Another program is asked by its stop signal.
func (s *slot) forced(e control.Exit) bool {
	asked := e.Signal == unix.SignalName(sigTerm) || e.Signal == unix.SignalName(s.pool.stopSignal())
	return e.Signal != "" && (!asked || s.pool.protocol.speaks())
}

// fail records how a process ended and forgets it.
func (l *loop) fail(s *slot, inc uint64, e control.Exit) {
	l.report(s, inc, control.EventWorkerExited, exitText(e))
	if e.PID == 0 && !s.endedByUs(inc) {
		s.pool.failure = s.id() + " " + e.Reason
	}
	s.exits = slices.Insert(s.exits, 0, e)
	s.exits = s.exits[:min(len(s.exits), keptExits)]
	s.processes[inc].forget()
	delete(s.processes, inc)
	l.calls.gone(inc)
}

// exitText is an exit in one line: "exited with status 3 after 2s: no beat for
// 15s".
func exitText(e control.Exit) string {
	var b strings.Builder
	switch {
	case e.PID == 0:
		return e.Reason
	case e.Unknown:
		b.WriteString("ended, exit status unknown (started by an earlier primary),")
	case e.Signal != "":
		fmt.Fprintf(&b, "ended by %s", e.Signal)
	default:
		fmt.Fprintf(&b, "exited with status %d", e.Code)
	}
	fmt.Fprintf(&b, " after %v", e.Uptime.Round(time.Millisecond))
	if e.Reason != "" {
		fmt.Fprintf(&b, ": %s", e.Reason)
	}
	switch {
	case e.Cause == "":
	case e.Reason == "" && e.Code > 0:
		fmt.Fprintf(&b, ": %s", e.Cause)
	default: // it did not know that it would end
		fmt.Fprintf(&b, ", last line: %s", e.Cause)
	}
	return b.String()
}

// becameReady handles a worker's message that it serves.
func (l *loop) becameReady(s *slot, inc uint64) {
	if p, _ := s.find(inc); p.ready {
		return
	}
	r := s.processes[inc]
	if r.early = r.handle == nil; r.early {
		return // the sender is not proved before its pid is known
	}
	if s.pool.protocol.speaks() {
		r.heard = time.Now()
	}
	l.step(s, input{kind: hReady, inc: inc})
	l.report(s, inc, control.EventWorkerReady, fmt.Sprintf("ready: pid %d, generation %d, after %v", r.pid(), r.gen, time.Since(r.since).Round(time.Millisecond)))
}

// quietBeats is how many beats a worker may miss before new connections go
// elsewhere; LostAfter decides when it is replaced.
const quietBeats = 3

// checkBeats finds silent workers: stopped, swapped out, or stuck.
//
// Beats that came while the primary itself stood still (SIGSTOP, Ctrl-Z, a paused
// machine) wait in their sockets: that time does not count as silence.
func (l *loop) checkBeats(now time.Time) {
	away := now.Sub(l.looked) - tickEvery
	l.looked = now
	for s, r := range processes(l.slots()) {
		if r.heard.IsZero() {
			continue // it has not joined yet: ReadyTimeout applies
		}
		if away > tickEvery {
			r.heard = now
		}
		l.checkBeat(s, r.inc, r, now.Sub(r.heard))
	}
}

func (l *loop) checkBeat(s *slot, inc uint64, r *process, quiet time.Duration) {
	switch {
	case quiet > s.pool.spec.LostAfter && (r.conv.lasts() || l.heardSince(r.heard.Add(s.pool.spec.LostAfter))):
		l.step(s, input{kind: hLost, inc: inc})
	case s.pool.protocol.speaks() && quiet > quietBeats*s.pool.spec.Beat && !r.silent:
		r.silent = true
		l.report(s, inc, control.EventWorkerSilent, fmt.Sprintf("is silent for %v: new connections go elsewhere", quiet.Round(100*time.Millisecond)))
	}
}

// impostor ends a conversation of a process that had the right secret but is not
// the one to which it was given.
func (l *loop) impostor(s *slot, r *process) {
	l.report(s, r.inc, control.EventWorkerImpostor, fmt.Sprintf("hello came from pid %d: refused", r.peer))
	r.conv.close()
	r.conv, r.early = nil, false
}
