package proc

import (
	"errors"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A foreign process is an adopted one that is not our child but that of init or
// of a subreaper. It may be reaped, and its pid used again, at any time, so
// everything here goes through its pidfd.

// statusPatience bounds the wait for the parent to reap the process, and with
// that for the status. An init reaps within milliseconds, some within a few
// hundred; the slot waits meanwhile.
const statusPatience = 250 * time.Millisecond

// control calls f with p's pidfd.
func (p *process) control(f func(pidfd int) error) error {
	conn, err := p.pidfd.SyscallConn()
	if err != nil {
		return err
	}
	if controlErr := conn.Control(func(fd uintptr) { err = f(int(fd)) }); controlErr != nil {
		return controlErr
	}
	return err
}

// awaitEnd returns when the foreign p has ended, and reports whether it has
// become our child: when we are a subreaper above its parent, and the parent
// has died.
func (p *process) awaitEnd() (child bool) {
	conn, err := p.pidfd.SyscallConn()
	if err == nil {
		err = conn.Read(func(fd uintptr) bool { return polled(int(fd), unix.POLLIN, 0) })
	}
	if err != nil { // no room in the poller: a thread waits instead
		err = p.control(func(pidfd int) error {
			polled(pidfd, unix.POLLIN, -1)
			return nil
		})
	}
	if err == nil {
		err = p.control(func(pidfd int) error {
			child, err = isChild(pidfd)
			return err
		})
	}
	return err == nil && child
}

// hasEnded reports whether p has ended, reaped or not.
func (p *process) hasEnded() bool {
	ended := true
	err := p.control(func(pidfd int) error {
		ended = polled(pidfd, unix.POLLIN, 0)
		return nil
	})
	return err != nil || ended // closed: by its goroutine, after the end
}

// polled waits for events on a descriptor for at most so many milliseconds;
// negative: for ever. A hang-up counts as an event (poll(2)).
func polled(fd int, events int16, timeout int) bool {
	for {
		poll := []unix.PollFd{{Fd: int32(fd), Events: events}}
		n, err := unix.Poll(poll, timeout)
		if !errors.Is(err, unix.EINTR) {
			return n > 0
		}
	}
}

// lose is bury for a process that another one reaps: it finds out how p ended, if
// the kernel tells.
func (p *process) lose(spare bool) Exit {
	p.mu.Lock()
	p.reaped = true
	at := time.Now()
	if !spare {
		_ = p.control(func(pidfd int) error { return p.signalGroup(pidfd, p.pid, unix.SIGKILL) }) // ESRCH: the group is empty
	}
	p.mu.Unlock()
	status, known := p.awaitStatus()
	if !known {
		return Exit{Code: -1, Unknown: true, At: at}
	}
	e := exitOf(status, unix.Rusage{})
	e.At = at
	return e
}

// awaitStatus asks for the wait status, which exists once the parent has reaped
// p. The pidfd reports that by a hang-up (pidfd_open(2)).
func (p *process) awaitStatus() (status unix.WaitStatus, known bool) {
	conn, err := p.pidfd.SyscallConn()
	if err != nil {
		return 0, false
	}
	// Without the poller there is no deadline, and no wait either.
	timed := p.pidfd.SetReadDeadline(time.Now().Add(p.statusPatience)) == nil
	_ = conn.Read(func(fd uintptr) bool { // ends with known, with an error, or late
		var err error
		status, known, err = readStatus(int(fd))
		return known || err != nil || !timed
	})
	return status, known
}

// pidfdInfo is struct pidfd_info as of Linux 6.13 (linux/pidfd.h).
type pidfdInfo struct {
	mask     uint64
	cgroup   uint64
	ids      [11]uint32
	exitCode int32
}

const (
	pidfdGetInfo  = 3<<30 | unsafe.Sizeof(pidfdInfo{})<<16 | 0xff<<8 | 11 // _IOWR(0xFF, 11, struct pidfd_info)
	pidfdInfoExit = 1 << 3                                                // Linux 6.15
)

// readStatus reads the wait status of a process that its parent has reaped.
// Before that it is not known. An error means that it never will be: ENOTTY and
// EINVAL from a kernel without this, ESRCH when it was reaped before the first
// pidfd was opened.
func readStatus(pidfd int) (status unix.WaitStatus, known bool, err error) {
	info := pidfdInfo{mask: pidfdInfoExit}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(pidfd), pidfdGetInfo, uintptr(unsafe.Pointer(&info)))
	if errno != 0 {
		return 0, false, errno
	}
	if info.mask&pidfdInfoExit == 0 {
		return 0, false, nil
	}
	return unix.WaitStatus(info.exitCode), true, nil
}
