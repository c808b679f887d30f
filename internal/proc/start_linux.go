package proc

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// OS starts real processes. A program has one OS; the package comment says what
// else must not start processes beside it.
type OS struct {
	// forking is held for reading from before a fork until the child is in
	// ours, and for writing while strangers are reaped: a child that dies at
	// once must not be taken for one. Locked before mu.
	forking sync.RWMutex

	// reaping is held for reading while a child is reaped until its Exit is
	// in its channel, and for writing by Freeze. Locked after forking and
	// before mu and the locks of processes.
	reaping sync.RWMutex

	mu   sync.Mutex // protects ours
	ours map[int]*process

	bound boundThread
	last  func(ID) (goesOn bool) // see BeforeReap; nil: none

	// How foreign processes are treated.
	signalGroup    groupSignal
	statusPatience time.Duration
}

// NewOS returns a starter of real processes.
func NewOS() *OS {
	return &OS{ours: map[int]*process{}, signalGroup: signalGroupOf, statusPatience: statusPatience}
}

// BeforeReap calls f with each watched process that has ended, before it is reaped
// and the rest of its group killed. If f returns true, another process goes on in
// its place, and the group is left alone. Call it before anything is started or
// adopted. f may be called from any goroutine.
func (o *OS) BeforeReap(f func(ID) (goesOn bool)) { o.last = f }

// goesOn reports whether another process goes on in place of one that has ended.
func (o *OS) goesOn(p *process) bool { return o.last != nil && o.last(ID{p.pid, p.started}) }

// Close releases what starting needs. Nothing may be started any more; what runs
// goes on.
func (o *OS) Close() { o.bound.close() }

// Freeze waits for starts and reaping that have begun; until thaw is called
// none begins, and nothing is adopted. Call it before executing another program
// in place of this one, and then read the channels of Wait: each Exit is then
// either read or still with the kernel, for [OS.Adopt]. Blocked calls go on
// after thaw, which may be called more than once.
func (o *OS) Freeze() (thaw func()) {
	o.forking.Lock()
	o.reaping.Lock()
	return sync.OnceFunc(func() {
		o.reaping.Unlock()
		o.forking.Unlock()
	})
}

func (o *OS) Start(c Command) (Process, error) {
	o.forking.RLock()
	defer o.forking.RUnlock()
	start := fork
	if c.NoNewPrivs {
		start = o.bound.fork
	}
	pid, pidfd, err := start(c)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}
	p, err := newProcess(pid, pidfd)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", c.Path, err), discard(pid, pidfd))
	}
	o.mu.Lock()
	o.ours[pid] = p
	o.mu.Unlock()
	go o.watch(p)
	return p, nil
}

// fork starts c in a process group of its own, that of its session if it has a
// terminal, and returns its pid and a
// non-blocking pidfd.
func fork(c Command) (pid, pidfd int, err error) {
	files := make([]uintptr, len(c.Files))
	for i, fd := range c.Files {
		files[i] = uintptr(fd)
	}
	path, closeCopy, err := outOfTheWay(c)
	if err != nil {
		return 0, -1, err
	}
	defer closeCopy()
	pidfd = -1
	attr := &syscall.SysProcAttr{Setpgid: !c.Terminal, Setsid: c.Terminal, Setctty: c.Terminal, PidFD: &pidfd}
	if c.Cgroup != "" {
		attr.UseCgroupFD = true
		if attr.CgroupFD, err = unix.Open(string(c.Cgroup), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
			return 0, -1, err
		}
		defer unix.Close(attr.CgroupFD)
	}
	pid, err = syscall.ForkExec(path, c.Argv, &syscall.ProcAttr{
		Dir:   c.Dir,
		Env:   c.Env,
		Files: files,
		Sys:   attr,
	})
	if err != nil {
		return 0, -1, err
	}
	if pidfd < 0 { // CLONE_PIDFD is ignored where clone(2) does not know it
		pidfd, err = unix.PidfdOpen(pid, 0)
	}
	if err == nil {
		err = unix.SetNonblock(pidfd, true)
	}
	if err != nil {
		return 0, -1, errors.Join(fmt.Errorf("pidfd: %w", err), discard(pid, pidfd))
	}
	return pid, pidfd, nil
}

// discard ends and reaps a child that is not watched.
func discard(pid, pidfd int) error {
	if pidfd >= 0 {
		unix.Close(pidfd)
	}
	if err := unix.Kill(-pid, unix.SIGKILL); err != nil {
		return fmt.Errorf("kill %d: %w", pid, err)
	}
	_, _, err := reap(pid, 0)
	return err
}

// process is our child, or an adopted process.
type process struct {
	pid     int
	started uint64
	pidfd   *os.File // kept here: a finalizer closes an unreferenced os.File

	// Of one that was adopted and was not our child at that time.
	foreign        bool
	signalGroup    groupSignal
	statusPatience time.Duration

	mu     sync.Mutex // held while the pid is used and while it is reaped
	reaped bool       // of a foreign one: it has ended

	exit chan Exit     // one value, then closed
	gone chan struct{} // closed when reaped
}

func newProcess(pid, pidfd int) (*process, error) {
	started, err := StartTime(pid)
	if err != nil {
		return nil, err
	}
	return makeProcess(pid, pidfd, started), nil
}

func makeProcess(pid, pidfd int, started uint64) *process {
	return &process{
		pid:     pid,
		started: started,
		pidfd:   os.NewFile(uintptr(pidfd), "pidfd"),
		exit:    make(chan Exit, 1),
		gone:    make(chan struct{}),
	}
}

func (p *process) PID() int          { return p.pid }
func (p *process) StartTime() uint64 { return p.started }
func (p *process) Wait() <-chan Exit { return p.exit }

func (p *process) Signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return fmt.Errorf("signal %d: %w", p.pid, os.ErrProcessDone)
	}
	send := p.signalChild
	if p.foreign {
		send = p.signalForeign
	}
	if err := send(sig); err != nil {
		return fmt.Errorf("signal %d: %w", p.pid, err)
	}
	return nil
}

func (p *process) signalChild(sig syscall.Signal) error {
	err := unix.Kill(-p.pid, sig)
	if errors.Is(err, unix.ESRCH) {
		// The program moved to another group, and its own is empty.
		err = unix.Kill(p.pid, sig)
	}
	return err
}

func (p *process) Usage() (Usage, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return Usage{}, fmt.Errorf("usage of %d: %w", p.pid, os.ErrProcessDone)
	}
	u, err := ReadUsage(p.pid)
	if p.foreign && p.hasEnded() { // the number may have meant another process by then
		return Usage{}, fmt.Errorf("usage of %d: %w", p.pid, os.ErrProcessDone)
	}
	return u, err
}
