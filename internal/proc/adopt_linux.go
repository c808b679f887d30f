package proc

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

var (
	errNotAdoptable = errors.New("not a process that can be adopted")
	errWatched      = errors.New("is watched already")
)

// Adopt implements [Adopter]. A child of this process, which an earlier image
// of this process started, is treated as if Start had just made it; it may be a
// zombie already. Any other process is watched through a pidfd.
//
// Where this process reaps strangers, adopt before calling [OS.ReapStrangers],
// which takes an ended child of the earlier image for a stranger.
func (o *OS) Adopt(pid int, startTime uint64) (Process, error) {
	o.forking.RLock() // keeps ReapStrangers from reaping it
	defer o.forking.RUnlock()
	p, err := o.adopt(pid, startTime)
	if err != nil {
		return nil, fmt.Errorf("adopt %d: %w", pid, err)
	}
	go o.watch(p)
	return p, nil
}

func (o *OS) adopt(pid int, startTime uint64) (*process, error) {
	if pid <= 1 || pid == os.Getpid() { // -1 and 0 have meanings of their own in kill(2)
		return nil, errNotAdoptable
	}
	pidfd, err := openPidfd(pid)
	if err != nil {
		return nil, err
	}
	p, err := o.identify(pid, pidfd, startTime)
	if err != nil {
		unix.Close(pidfd)
		return nil, err
	}
	if !o.enter(p) {
		p.pidfd.Close()
		return nil, errWatched
	}
	return p, nil
}

// openPidfd returns a non-blocking pidfd.
func openPidfd(pid int) (int, error) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	switch {
	case errors.Is(err, unix.ESRCH), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
		// The last two: the number is a thread's of another process now.
		return -1, os.ErrProcessDone
	case err != nil:
		return -1, fmt.Errorf("pidfd: %w", err)
	}
	if err := unix.SetNonblock(pidfd, true); err != nil {
		unix.Close(pidfd)
		return -1, fmt.Errorf("pidfd: %w", err)
	}
	return pidfd, nil
}

// identify returns the process pid if it was started at startTime. It reads the
// start time only after the pidfd was opened: a process that has the number
// now, and has had it since startTime, had it when the pidfd was opened. On
// success the process owns the pidfd.
func (o *OS) identify(pid, pidfd int, startTime uint64) (*process, error) {
	started, err := StartTime(pid)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ESRCH), err == nil && started != startTime:
		return nil, os.ErrProcessDone
	case err != nil:
		return nil, err
	}
	child, err := isChild(pidfd)
	if err != nil {
		return nil, err
	}
	p := makeProcess(pid, pidfd, started)
	p.foreign, p.signalGroup, p.statusPatience = !child, o.signalGroup, o.statusPatience
	return p, nil
}

// isChild reports whether a pidfd is of a child of this process.
func isChild(pidfd int) (bool, error) {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PIDFD, pidfd, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
	if errors.Is(err, unix.ECHILD) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("waitid: %w", err)
	}
	return true, nil
}

// enter adds p to the books, unless it is there. Another process with its pid
// in the books has ended, and is about to leave.
func (o *OS) enter(p *process) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if q := o.ours[p.pid]; q != nil && q.started == p.started {
		return false
	}
	o.ours[p.pid] = p
	return true
}
