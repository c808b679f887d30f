package launch

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/seize"
)

// ExitCode is the exit status of a launcher that could not start its program,
// as of env(1) and sh(1).
const ExitCode = 126

// Run carries out the plan that this process inherited and becomes the program.
// It returns only when a step fails, with an error that names the step
// ("launch: set nofile 100 > hard limit 64: operation not permitted"). The
// process is then good for nothing but to print the error and to exit with
// [ExitCode].
//
// Call it before anything else is started in this process.
func Run() error {
	runtime.LockOSThread() // no_new_privs and the signal mask belong to a thread
	p, fd, err := inherited()
	if err == nil {
		err = p.prepare()
	}
	gate := fd + 1
	if err == nil {
		err = p.restrict()
	}
	if p.Seize {
		gate++
	}
	if err == nil && p.Gate {
		err = pass(gate)
	}
	if err == nil {
		err = p.exec()
	}
	return fmt.Errorf("launch: %w", err)
}

// inherited reads the plan that [New] left.
func inherited() (p Plan, fd int, err error) {
	fd, err = strconv.Atoi(os.Getenv(fdVariable))
	if err != nil || fd < 0 {
		return p, fd, fmt.Errorf("%s=%.20q is not a descriptor", fdVariable, os.Getenv(fdVariable))
	}
	p, err = readPlan(fd)
	if err == nil && fd < p.Files {
		err = fmt.Errorf("descriptor %d is the program's, not the plan's", fd)
	}
	if err != nil {
		err = fmt.Errorf("read plan: %w", err)
	}
	return p, fd, err
}

// pass waits at the gate.
func pass(gate int) error {
	for {
		n, err := unix.Read(gate, make([]byte, 1))
		switch {
		case n == 1:
			return nil
		case err == nil:
			return errors.New("its caller has gone")
		case !errors.Is(err, unix.EINTR):
			return fmt.Errorf("wait for the caller: %w", err)
		}
	}
}

// prepare carries out the steps that need our privileges or descriptors.
func (p Plan) prepare() error {
	if err := CloseOnExecFrom(p.Files); err != nil {
		return fmt.Errorf("close descriptors: %w", err)
	}
	if err := raiseHard(p.Limits); err != nil {
		return err
	}
	if p.Nice != 0 { // of this thread, which is the one that exec keeps
		if err := unix.Setpriority(unix.PRIO_PROCESS, 0, p.Nice); err != nil {
			return fmt.Errorf("set nice %d: %w", p.Nice, err)
		}
	}
	if err := p.User.become(); err != nil {
		return err
	}
	if p.Dir == "" {
		return nil
	}
	return os.Chdir(p.Dir) // after become: on NFS the user may see more or less than we do
}

// become takes on the identity. The order is fixed: each step takes away the
// right to do those before it.
func (u *User) become() error {
	if u == nil {
		return nil
	}
	groups := make([]int, len(u.Groups))
	for i, g := range u.Groups {
		groups[i] = int(g)
	}
	// Package syscall does these for all threads.
	if err := syscall.Setgroups(groups); err != nil {
		return fmt.Errorf("set groups %v: %w", u.Groups, err)
	}
	if err := syscall.Setgid(int(u.GID)); err != nil {
		return fmt.Errorf("set gid %d: %w", u.GID, err)
	}
	if err := syscall.Setuid(int(u.UID)); err != nil {
		return fmt.Errorf("set uid %d: %w", u.UID, err)
	}
	return nil
}

// restrict takes rights away from this thread and from what it executes.
func (p Plan) restrict() error {
	if p.NoNewPrivs {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("set no_new_privs: %w", err)
		}
	}
	if p.Seize {
		return seizeOver(p.Files + 1)
	}
	return nil
}

// exec carries out the steps after which this process can do nothing else.
func (p Plan) exec() error {
	env := p.environment()
	if p.Umask != nil {
		unix.Umask(*p.Umask)
	}
	if err := setLimits(p.Limits); err != nil {
		return err
	}
	if err := resetSignals(); err != nil {
		return fmt.Errorf("reset signals: %w", err)
	}
	if err := syscall.Exec(p.Path, p.Argv, env); err != nil {
		return fmt.Errorf("exec %s: %w", p.Path, err)
	}
	return nil
}

// seizeOver lets the process at the other end of a unix socket supervise the
// program.
func seizeOver(socket int) error {
	notify, err := seize.Install()
	if err != nil {
		return err
	}
	return seize.Send(socket, notify)
}

// CloseOnExecFrom makes exec close every descriptor from first on. Closing them
// now would take the poller's descriptors from Go's runtime.
func CloseOnExecFrom(first int) error {
	err := unix.CloseRange(uint(first), math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM) {
		// Before Linux 5.11, or forbidden by an old seccomp filter.
		return closeListedOnExecFrom(first)
	}
	return err
}

func closeListedOnExecFrom(first int) error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd >= first {
			syscall.CloseOnExec(fd)
		}
	}
	return nil
}

// signals is the number of signals (signal(7)).
const signals = 64

// kernelSigset is the size of the kernel's sigset_t in bytes.
const kernelSigset = signals / 8

// resetSignals sets each signal to its default action and empties the mask of
// this thread, the one that exec keeps. Exec itself resets handlers but not
// ignored signals: a parent may have ignored SIGPIPE or SIGHUP, and Go's runtime
// keeps that.
//
// From here on Go's runtime does not see signals any more, which is harmless:
// its own (SIGURG) is ignored by default.
func resetSignals() error {
	// The layout of struct sigaction differs between architectures. All zero it
	// is always SIG_DFL without flags, and 64 bytes hold any of them.
	var byDefault [64]byte
	for sig := range uintptr(signals) {
		// SIGKILL and SIGSTOP cannot be changed, which is an EINVAL.
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig+1, uintptr(unsafe.Pointer(&byDefault)), 0, kernelSigset, 0, 0)
		if errno != 0 && errno != unix.EINVAL {
			return errno
		}
	}
	var none [kernelSigset]byte
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&none)), 0, kernelSigset, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
