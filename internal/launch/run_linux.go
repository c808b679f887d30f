package launch

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ExitCode is the status with which a launcher exits that could not start its
// program; env(1) and sh(1) use it for the same.
const ExitCode = 126

// Run is the role itself: it carries out the plan that this process inherited
// and becomes the program. It returns only if it could not, with an error that
// names the step ("launch: set nofile 100 > hard limit 64: operation not
// permitted"); then the process is in no state to do anything but print that
// and exit with [ExitCode].
//
// It must be called before anything else was started in this process.
func Run() error {
	runtime.LockOSThread() // no_new_privs and the signal mask belong to a thread
	p, err := inherited()
	if err == nil {
		err = p.prepare()
	}
	if err == nil {
		err = p.exec()
	}
	return fmt.Errorf("launch: %w", err)
}

// inherited reads the plan that [New] left.
func inherited() (Plan, error) {
	fd, err := strconv.Atoi(os.Getenv(fdVariable))
	if err != nil || fd < 0 {
		return Plan{}, fmt.Errorf("%s=%.20q is not a descriptor", fdVariable, os.Getenv(fdVariable))
	}
	p, err := readPlan(fd)
	if err == nil && fd < p.Files {
		err = fmt.Errorf("descriptor %d is the program's, not the plan's", fd)
	}
	if err != nil {
		return Plan{}, fmt.Errorf("read plan: %w", err)
	}
	return p, nil
}

// prepare carries out the steps that need our privileges or descriptors.
func (p Plan) prepare() error {
	if err := closeOnExecFrom(p.Files); err != nil {
		return fmt.Errorf("close descriptors: %w", err)
	}
	if p.Umask != nil {
		unix.Umask(int(*p.Umask))
	}
	if err := raiseHard(p.Limits); err != nil {
		return err
	}
	if err := p.User.become(); err != nil {
		return err
	}
	if p.Dir == "" {
		return nil
	}
	return os.Chdir(p.Dir) // as the user, who may see more (NFS) or less than we
}

// become takes on an identity; the order is that of least surprise: each step
// takes away the right to do the ones before.
func (u *User) become() error {
	if u == nil {
		return nil
	}
	groups := make([]int, len(u.Groups))
	for i, g := range u.Groups {
		groups[i] = int(g)
	}
	// Package syscall does these for all threads of a process.
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

// exec carries out the steps after which this process is fit for nothing else.
func (p Plan) exec() error {
	env := p.environment(os.Getpid())
	if p.NoNewPrivs {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("set no_new_privs: %w", err)
		}
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

// environment is the plan's, with sd_listen_fds(3) in it when asked for. What
// the plan itself says about it is for somebody else, and goes in any case.
func (p Plan) environment(pid int) []string {
	env := make([]string, 0, len(p.Env)+3)
	for _, e := range p.Env {
		switch name, _, _ := strings.Cut(e, "="); name {
		case "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES":
		default:
			env = append(env, e)
		}
	}
	if n := len(p.ListenNames); n > 0 {
		env = append(env,
			"LISTEN_PID="+strconv.Itoa(pid),
			"LISTEN_FDS="+strconv.Itoa(n),
			"LISTEN_FDNAMES="+strings.Join(p.ListenNames, ":"))
	}
	return env
}

// closeOnExecFrom lets exec close every descriptor from first on. They are not
// closed now, since Go's runtime polls with some of them.
func closeOnExecFrom(first int) error {
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

// signals is how many there are (signal(7)).
const signals = 64

// kernelSigset is the size of the kernel's sigset_t in bytes.
const kernelSigset = signals / 8

// resetSignals sets each signal to its default action and empties the mask of
// this thread, which is the one that exec keeps. Exec resets handlers by
// itself, but not what is ignored: a parent may have ignored SIGPIPE or SIGHUP,
// and Go's runtime keeps that.
//
// From here on Go's runtime does not see signals any more, which is harmless:
// its own (SIGURG) is ignored by default.
func resetSignals() error {
	// All zero, a struct sigaction is SIG_DFL without flags whatever its
	// layout, which differs between architectures; 64 bytes hold any.
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
