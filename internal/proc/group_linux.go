package proc

import (
	"errors"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// groupSignal signals the process group that the process of a pidfd, with the
// number pid, leads or led. It reaches no other group, even if the number is
// used again, and returns ESRCH for an empty group.
type groupSignal func(pidfd, pid int, sig syscall.Signal) error

// signalProcessGroup is PIDFD_SIGNAL_PROCESS_GROUP (pidfd_send_signal(2)).
const signalProcessGroup = 1 << 2

// signalGroupOf is the groupSignal of this kernel. Since Linux 6.9 it takes the
// group from the pidfd itself, which means the same group after the leader was
// reaped: a number that is used again is another struct pid.
func signalGroupOf(pidfd, pid int, sig syscall.Signal) error {
	err := signalPidfdGroup(pidfd, sig)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return signalMembers(pidfd, pid, sig)
	}
	return err
}

func signalPidfdGroup(pidfd int, sig syscall.Signal) error {
	return unix.PidfdSendSignal(pidfd, sig, nil, signalProcessGroup)
}

// signalForeign is signalChild for a process that another one may reap
// meanwhile.
func (p *process) signalForeign(sig syscall.Signal) error {
	err := p.control(func(pidfd int) error {
		err := p.signalGroup(pidfd, p.pid, sig)
		if errors.Is(err, unix.ESRCH) {
			// The program moved to another group, or it has ended.
			err = unix.PidfdSendSignal(pidfd, sig, nil, 0)
		}
		return err
	})
	if errors.Is(err, unix.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// maxPasses bounds how often signalMembers looks for members that were started
// while it looked.
const maxPasses = 8

// signalMembers is a groupSignal for older kernels: it signals the members in
// /proc one by one, each by a pidfd of its own. When the leader was reaped it
// signals nothing, even if members are left: a group of that number may be
// another one by then.
func signalMembers(leader, pid int, sig syscall.Signal) error {
	result := error(unix.ESRCH)
	done := map[member]bool{}
	for range maxPasses {
		before := len(done)
		pids, err := numbers("/proc")
		if err != nil {
			return err
		}
		for _, candidate := range pids {
			sent, err := signalMember(leader, pid, candidate, sig, done)
			if sent && result != nil { // one success is enough, as for kill(2)
				result = err
			}
		}
		if len(done) == before {
			break
		}
	}
	return result
}

// member identifies a process.
type member struct {
	pid     int
	started uint64
}

// signalMember signals the process candidate if it is in the group pid and not
// in done.
func signalMember(leader, pid, candidate int, sig syscall.Signal, done map[member]bool) (sent bool, err error) {
	if s, err := readStat(candidate); err != nil || s.group != pid || done[member{candidate, s.started}] {
		return false, nil
	}
	pidfd, err := unix.PidfdOpen(candidate, 0)
	if err != nil {
		return false, nil // it has just gone
	}
	defer unix.Close(pidfd)
	s, err := readStat(candidate)
	// In this order: the candidate has not ended, so what was read is of the
	// pidfd's process; the leader is not reaped, so that the group's number
	// was the leader's when it was read.
	if err != nil || s.group != pid || polled(pidfd, unix.POLLIN, 0) || reaped(leader) {
		return false, nil
	}
	done[member{candidate, s.started}] = true
	err = unix.PidfdSendSignal(pidfd, sig, nil, 0)
	return !errors.Is(err, unix.ESRCH), err
}

// reaped reports whether a pidfd's process was reaped: a zombie can still be
// signalled (kill(2)).
func reaped(pidfd int) bool {
	return errors.Is(unix.PidfdSendSignal(pidfd, 0, nil, 0), unix.ESRCH)
}

// numbers lists the entries of a directory whose names are numbers.
func numbers(dir string) (all []int, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil {
			all = append(all, n)
		}
	}
	return all, err
}
