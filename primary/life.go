package primary

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/proc"
)

// started takes in that a process runs.
func (l *loop) started(s *seat, inc uint64, p proc.Process, out *output) {
	r := s.runs[inc]
	r.process, r.out = p, out
	l.report(s, inc, "worker.started", fmt.Sprintf("started: pid %d, generation %d", p.PID(), r.number))
	if r.pending != 0 {
		_ = p.Signal(r.pending) // it has gone: its exit tells
	}
	if r.conv != nil && r.peer != p.PID() {
		l.impostor(s, r)
	}
	if r.early {
		l.becameReady(s, inc)
	}
}

// spawnFailed takes in that a process could not be started at all.
func (l *loop) spawnFailed(s *seat, inc uint64, err error) {
	l.fail(s, inc, control.Exit{Time: time.Now(), Generation: s.runs[inc].number, Incarnation: inc, Code: -1, Reason: "could not be started: " + err.Error()})
	l.step(s, input{kind: hSpawnFailed, inc: inc, passing: passes(err)})
}

// passes tells whether the machine, not the program, is why a start failed.
func passes(err error) bool {
	for _, e := range []error{unix.EAGAIN, unix.ENOMEM, unix.EMFILE, unix.ENFILE, unix.ETXTBSY} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// exited takes in that a process has been reaped.
func (l *loop) exited(s *seat, inc uint64, e proc.Exit, lines []string) {
	r := s.runs[inc]
	if g := s.pool.gathering; g != nil {
		r.gone = true
		g.deferred = append(g.deferred, func(l *loop) { l.exited(s, inc, e, lines) })
		return
	}
	if r.conv != nil {
		r.conv.close()
	}
	exit := control.Exit{
		Time: e.At, PID: r.pid(), Generation: r.number, Incarnation: inc,
		Code: e.Code, Uptime: e.At.Sub(r.since), Reason: r.reason, Lines: slices.Clone(lines),
	}
	if e.Signal != 0 {
		exit.Code, exit.Signal = -1, unix.SignalName(e.Signal)
	}
	exit.Unknown = e.Unknown
	wanted := s.endedByUs(inc)
	l.fail(s, inc, exit)
	l.step(s, input{kind: hExit, inc: inc, clean: exit.Code == 0})
	if !wanted && s.hold != control.Done {
		s.pool.failure = s.id() + " " + exitText(exit)
	}
}

// endedByUs tells whether the process was asked to go.
func (s *seat) endedByUs(inc uint64) bool {
	p, _ := s.find(inc)
	return p.ending == told || p.ending == termed
}

// fail keeps how a process ended and forgets its run.
func (l *loop) fail(s *seat, inc uint64, e control.Exit) {
	l.report(s, inc, "worker.exited", exitText(e))
	if e.PID == 0 {
		s.pool.failure = s.id() + " " + e.Reason
	}
	s.exits = slices.Insert(s.exits, 0, e)
	s.exits = s.exits[:min(len(s.exits), keptExits)]
	s.runs[inc].forget()
	delete(s.runs, inc)
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
	return b.String()
}

// becameReady takes in a worker's word that it serves.
func (l *loop) becameReady(s *seat, inc uint64) {
	if p, _ := s.find(inc); p.ready {
		return
	}
	r := s.runs[inc]
	if r.early = r.process == nil; r.early {
		return // who speaks is not proved before its pid is known
	}
	r.heard = time.Now()
	l.step(s, input{kind: hReady, inc: inc})
	l.report(s, inc, "worker.ready", fmt.Sprintf("ready: pid %d, generation %d, after %v", r.pid(), r.number, time.Since(r.since).Round(time.Millisecond)))
}

// quietBeats is how many beats a worker may miss before new work goes
// elsewhere; LostAfter decides when it is replaced.
const quietBeats = 3

// checkBeats finds the workers that have fallen silent: stopped, swapped out,
// or stuck in a way that only a look at the process could tell.
//
// Beats that came while the primary itself stood still (SIGSTOP, Ctrl-Z, a
// paused machine) wait in their sockets: that time counts for nobody's silence.
func (l *loop) checkBeats(now time.Time) {
	away := now.Sub(l.looked) - tickEvery
	l.looked = now
	for _, p := range l.pools {
		for _, s := range p.seats {
			for inc, r := range s.runs {
				if r.heard.IsZero() {
					continue // it has not joined yet: ReadyTimeout is for those
				}
				if away > tickEvery {
					r.heard = now
				}
				l.checkBeat(s, inc, r, now.Sub(r.heard))
			}
		}
	}
}

func (l *loop) checkBeat(s *seat, inc uint64, r *run, quiet time.Duration) {
	switch {
	case quiet > s.pool.spec.LostAfter:
		l.step(s, input{kind: hLost, inc: inc})
	case quiet > quietBeats*s.pool.spec.Beat && !r.silent:
		r.silent = true
		l.report(s, inc, "worker.silent", fmt.Sprintf("is silent for %v: new connections go elsewhere", quiet.Round(100*time.Millisecond)))
	}
}

// impostor ends a conversation of a process that had the right secret but is
// not the one that it was given to.
func (l *loop) impostor(s *seat, r *run) {
	l.report(s, r.inc, "worker.impostor", fmt.Sprintf("hello came from pid %d: refused", r.peer))
	r.conv.close()
	r.conv, r.early = nil, false
}
