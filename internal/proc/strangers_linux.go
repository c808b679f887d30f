package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ReapStrangers reaps the processes that become our children when their parents
// die, until ctx is done. It returns nil at once when this process gets none,
// being neither pid 1 nor a subreaper (prctl(2)).
//
// It never reaps a child that Start made, as wait4(-1) would.
func (o *OS) ReapStrangers(ctx context.Context) error {
	if !adoptsOrphans() {
		return nil
	}
	exits := make(chan os.Signal, 1) // SIGCHLDs merge; one is enough to look again
	signal.Notify(exits, unix.SIGCHLD)
	defer signal.Stop(exits)
	for {
		if err := o.reapStrangers(ctx); err != nil {
			return fmt.Errorf("reap strangers: %w", err)
		}
		select {
		case <-exits:
		case <-ctx.Done():
			return nil
		}
	}
}

func adoptsOrphans() bool {
	var subreaper int32
	err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&subreaper)), 0, 0, 0)
	return os.Getpid() == 1 || err == nil && subreaper == 1
}

// reapStrangers reaps until no stranger is left.
func (o *OS) reapStrangers(ctx context.Context) error {
	for {
		found, ours, err := o.reapStranger()
		if err != nil || !found {
			return err
		}
		if ours == nil {
			continue
		}
		// The kernel shows the same zombie until it is reaped, and its own
		// goroutine is about to do that.
		select {
		case <-ours.gone:
		case <-ctx.Done():
			return nil
		}
	}
}

// reapStranger reaps one zombie, or reports which of our children it is.
func (o *OS) reapStranger() (found bool, ours *process, err error) {
	o.forking.Lock()
	defer o.forking.Unlock()
	pid, err := anyZombie()
	if err != nil || pid == 0 {
		return false, nil, err
	}
	o.mu.Lock()
	ours = o.ours[pid]
	o.mu.Unlock()
	if ours != nil {
		return true, ours, nil
	}
	if _, _, err = reap(pid, unix.WNOHANG); errors.Is(err, unix.ECHILD) {
		err = nil // one of ours, reaped between the look and now
	}
	return true, nil, err
}

// anyZombie returns the pid of a child that has ended, without reaping it; 0 if
// there is none.
func anyZombie() (int, error) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ECHILD): // no children at all
			return 0, nil
		case err != nil:
			return 0, fmt.Errorf("waitid: %w", err)
		}
		return zombiePID(&info), nil
	}
}

// zombiePID reads si_pid of a siginfo_t (sigaction(2)): the first field after
// three numbers and, where pointers have 64 bits, four bytes of padding. It is 0
// if no child was found.
func zombiePID(info *unix.Siginfo) int {
	const is64bit = ^uint(0) >> 63
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), 12+4*is64bit)))
}
