package proctest

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/norestart/norestart/internal/proc"
)

// Process is a scripted process as its starter or adopter sees it. Several may
// share one life, which a test drives through any of them.
type Process struct {
	Command proc.Command // what it was started with

	pid     int
	started uint64
	exit    chan proc.Exit // one value, then closed
	life    *life
}

// life is the fate of a process, shared by all who see it.
type life struct {
	mu      sync.Mutex // protects the fields below
	ended   bool
	exit    proc.Exit        // once it has ended
	waiting []chan proc.Exit // of each Process
	signals []syscall.Signal
	obeys   map[syscall.Signal]bool
	usage   proc.Usage
}

func newProcess(c proc.Command, pid int, started uint64) *Process {
	p := &Process{
		Command: c,
		pid:     pid,
		started: started,
		life:    &life{obeys: map[syscall.Signal]bool{syscall.SIGKILL: true}},
	}
	p.exit = p.life.wait()
	return p
}

// again is the same process for another owner, or nil if it was reaped, which
// means that one of its owners has received its Exit.
func (p *Process) again() *Process {
	p.life.mu.Lock()
	defer p.life.mu.Unlock()
	if p.life.ended && slices.ContainsFunc(p.life.waiting, func(c chan proc.Exit) bool { return len(c) == 0 }) {
		return nil
	}
	q := *p
	q.exit = p.life.wait()
	return &q
}

// wait requires l.mu, unless l is not shared yet.
func (l *life) wait() chan proc.Exit {
	c := make(chan proc.Exit, 1)
	l.waiting = append(l.waiting, c)
	if l.ended {
		c <- l.exit
		close(c)
	}
	return c
}

// end requires l.mu. The channels have room for the one value.
func (l *life) end(e proc.Exit) {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	l.ended, l.exit = true, e
	for _, c := range l.waiting {
		c <- e
		close(c)
	}
}

// PID implements [proc.Process].
func (p *Process) PID() int { return p.pid }

// StartTime implements [proc.Process].
func (p *Process) StartTime() uint64 { return p.started }

// Wait implements [proc.Process].
func (p *Process) Wait() <-chan proc.Exit { return p.exit }

// Signal implements [proc.Process]: it records sig, and ends the process by it
// if the process obeys it.
func (p *Process) Signal(sig syscall.Signal) error {
	p.life.mu.Lock()
	defer p.life.mu.Unlock()
	if p.life.ended {
		return fmt.Errorf("signal %d: %w", p.pid, os.ErrProcessDone)
	}
	if sig == 0 { // only asks whether it is there, kill(2)
		return nil
	}
	p.life.signals = append(p.life.signals, sig)
	if p.life.obeys[sig] {
		p.life.end(proc.Exit{Code: -1, Signal: sig})
	}
	return nil
}

// Usage implements [proc.Process].
func (p *Process) Usage() (proc.Usage, error) {
	p.life.mu.Lock()
	defer p.life.mu.Unlock()
	if p.life.ended {
		return proc.Usage{}, fmt.Errorf("usage of %d: %w", p.pid, os.ErrProcessDone)
	}
	return p.life.usage, nil
}

// Exit ends the process with a status, as if it had called exit(3). One that
// has ended already stays as it is.
func (p *Process) Exit(code int) { p.End(proc.Exit{Code: code}) }

// Kill ends the process by a signal, as if somebody else had sent it.
func (p *Process) Kill(sig syscall.Signal) { p.End(proc.Exit{Code: -1, Signal: sig}) }

// Vanish ends the process without a known status, as for an adopted process
// that is not our child.
func (p *Process) Vanish() { p.End(proc.Exit{Code: -1, Unknown: true}) }

// End ends the process in any way; a zero e.At becomes the time now.
func (p *Process) End(e proc.Exit) {
	p.life.mu.Lock()
	defer p.life.mu.Unlock()
	if !p.life.ended {
		p.life.end(e)
	}
}

// Obey lets the process end by these signals from now on.
func (p *Process) Obey(signals ...syscall.Signal) {
	p.life.mu.Lock()
	defer p.life.mu.Unlock()
	for _, sig := range signals {
		p.life.obeys[sig] = true
	}
}

// Signals returns what was sent to the process with Signal, in order.
func (p *Process) Signals() []syscall.Signal {
	p.life.mu.Lock()
	defer p.life.mu.Unlock()
	return slices.Clone(p.life.signals)
}

// SetUsage sets what Usage tells.
func (p *Process) SetUsage(u proc.Usage) {
	p.life.mu.Lock()
	defer p.life.mu.Unlock()
	p.life.usage = u
}

// Ended reports whether the process has ended.
func (p *Process) Ended() bool {
	p.life.mu.Lock()
	defer p.life.mu.Unlock()
	return p.life.ended
}
