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

// Script is a [proc.Starter] without processes. It may be used from any
// goroutine.
type Script struct {
	// OnStart, when set before the first Start, is called for each process
	// before Start returns it.
	OnStart func(*Process)

	mu        sync.Mutex // protects what follows
	failures  []error
	processes []*Process
}

// New returns a script without processes. Their pids are above those that a
// real kernel gives out, so that a signal that goes astray meets nobody.
func New() *Script { return &Script{} }

// firstPID is above PID_MAX_LIMIT (proc_sys_kernel(5)).
const firstPID = 1<<22 + 1

// FailNext lets the next Start that has no failure yet fail with err.
func (s *Script) FailNext(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures = append(s.failures, err)
}

// Processes returns all processes in the order in which they were started,
// those that have ended too.
func (s *Script) Processes() []*Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.processes)
}

// Running returns the processes that have not ended.
func (s *Script) Running() []*Process {
	return slices.DeleteFunc(s.Processes(), (*Process).Ended)
}

// Start implements [proc.Starter].
func (s *Script) Start(c proc.Command) (proc.Process, error) {
	p, err := s.add(c)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}
	if s.OnStart != nil {
		s.OnStart(p)
	}
	return p, nil
}

func (s *Script) add(c proc.Command) (*Process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.failures) > 0 {
		err := s.failures[0]
		s.failures = s.failures[1:]
		return nil, err
	}
	n := len(s.processes)
	p := &Process{
		Command: c,
		pid:     firstPID + n,
		started: uint64(n + 1),
		obeys:   map[syscall.Signal]bool{syscall.SIGKILL: true},
		exit:    make(chan proc.Exit, 1),
	}
	s.processes = append(s.processes, p)
	return p, nil
}

// Process is a scripted process.
type Process struct {
	Command proc.Command // what it was started with

	pid     int
	started uint64
	exit    chan proc.Exit

	mu      sync.Mutex // protects what follows
	ended   bool
	signals []syscall.Signal
	obeys   map[syscall.Signal]bool
	usage   proc.Usage
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
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return fmt.Errorf("signal %d: %w", p.pid, os.ErrProcessDone)
	}
	if sig == 0 { // only asks whether it is there, kill(2)
		return nil
	}
	p.signals = append(p.signals, sig)
	if p.obeys[sig] {
		p.end(proc.Exit{Code: -1, Signal: sig})
	}
	return nil
}

// Usage implements [proc.Process].
func (p *Process) Usage() (proc.Usage, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return proc.Usage{}, fmt.Errorf("usage of %d: %w", p.pid, os.ErrProcessDone)
	}
	return p.usage, nil
}

// Exit ends the process with a status, as if it had called exit(3). One that
// has ended already stays as it is.
func (p *Process) Exit(code int) { p.End(proc.Exit{Code: code}) }

// Kill ends the process by a signal, as if somebody else had sent it.
func (p *Process) Kill(sig syscall.Signal) { p.End(proc.Exit{Code: -1, Signal: sig}) }

// End ends the process in any way; a zero e.At becomes the time now.
func (p *Process) End(e proc.Exit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.end(e)
	}
}

// end requires p.mu. The channel has room for the one value.
func (p *Process) end(e proc.Exit) {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	p.ended = true
	p.exit <- e
	close(p.exit)
}

// Obey lets the process end by these signals from now on.
func (p *Process) Obey(signals ...syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, sig := range signals {
		p.obeys[sig] = true
	}
}

// Signals returns what was sent to the process with Signal, in order.
func (p *Process) Signals() []syscall.Signal {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.signals)
}

// SetUsage sets what Usage tells.
func (p *Process) SetUsage(u proc.Usage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.usage = u
}

// Ended reports whether the process has ended.
func (p *Process) Ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}
