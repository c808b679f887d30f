package proc

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// watch waits until p has ended, reaps it and sends its Exit. It is p's only
// goroutine and ends with it.
func (o *OS) watch(p *process) {
	var e Exit
	if p.foreign && !p.awaitEnd() {
		e = p.lose(o.goesOn(p)) // takes its time
		o.reaping.RLock()
	} else {
		child := awaitExit(p)
		spare := o.goesOn(p)
		o.reaping.RLock()
		e = p.bury(child, spare)
	}
	defer o.reaping.RUnlock()
	o.mu.Lock()
	if o.ours[p.pid] == p { // the number may be in use again
		delete(o.ours, p.pid)
	}
	o.mu.Unlock()
	p.pidfd.Close()
	close(p.gone)
	p.exit <- e
	close(p.exit)
}

// awaitExit returns true when p is a zombie, and false if another caller has
// reaped it, against the rule of the package.
func awaitExit(p *process) (ours bool) {
	var err error
	conn, connErr := p.pidfd.SyscallConn()
	if connErr == nil {
		connErr = conn.Read(func(uintptr) bool {
			var ended bool
			ended, err = isZombie(p.pid, unix.WNOHANG)
			return ended || err != nil
		})
	}
	if connErr != nil { // no room in the poller: a thread waits instead
		_, err = isZombie(p.pid, 0)
	}
	return err == nil
}

// isZombie reports whether our child pid has ended, without reaping it.
func isZombie(pid, options int) (bool, error) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT|options, nil)
		if !errors.Is(err, unix.EINTR) {
			return info.Signo != 0, err
		}
	}
}

// bury kills the rest of p's group, unless it is to be spared, and reaps p. After it
// pid and group may mean others.
func (p *process) bury(ours, spare bool) Exit {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reaped = true
	if !ours {
		return Exit{Code: -1, Unknown: true, At: time.Now()}
	}
	if !spare {
		_ = unix.Kill(-p.pid, unix.SIGKILL) // ESRCH: the group is empty
	}
	status, usage, err := reap(p.pid, unix.WNOHANG)
	if err != nil {
		return Exit{Code: -1, Unknown: true, At: time.Now()}
	}
	return exitOf(status, usage)
}

// reap waits for our child pid.
func reap(pid, options int) (status unix.WaitStatus, usage unix.Rusage, err error) {
	for {
		_, err = unix.Wait4(pid, &status, options, &usage)
		if !errors.Is(err, unix.EINTR) {
			return status, usage, err
		}
	}
}

func exitOf(status unix.WaitStatus, usage unix.Rusage) Exit {
	e := Exit{
		Code:   status.ExitStatus(), // -1 when a signal ended it
		At:     time.Now(),
		CPU:    time.Duration(usage.Utime.Nano() + usage.Stime.Nano()),
		MaxRSS: int64(usage.Maxrss) << 10,
	}
	if status.Signaled() {
		e.Signal = syscall.Signal(status.Signal())
		e.CoreDumped = status.CoreDump()
	}
	return e
}
