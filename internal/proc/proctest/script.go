package proctest

import (
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/norestart/norestart/internal/proc"
)

// Script is a [proc.Starter] and a [proc.Adopter] without processes. It may be
// used from any goroutine, and by several primaries in turn: the second can
// adopt what the first started.
type Script struct {
	// OnStart, when set before the first Start, is called for each process
	// before Start returns it.
	OnStart func(*Process)

	mu        sync.Mutex // protects the fields below
	failures  []error
	processes []*Process
}

// New returns a script without processes. Its pids are above those of a real
// kernel, so that a stray signal reaches no process.
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
	p := newProcess(c, firstPID+n, uint64(n+1))
	s.processes = append(s.processes, p)
	return p, nil
}

// Adopt implements [proc.Adopter]. It returns a *Process of its own, beside
// that of the starter, which is not among Processes.
func (s *Script) Adopt(pid int, startTime uint64) (proc.Process, error) {
	for _, p := range s.Processes() {
		if p.pid != pid || p.started != startTime {
			continue
		}
		if adopted := p.again(); adopted != nil {
			return adopted, nil
		}
	}
	return nil, fmt.Errorf("adopt %d: %w", pid, os.ErrProcessDone)
}
