package proc

import (
	"syscall"
	"time"
)

// Command says what to start.
type Command struct {
	Path  string   // executed as it is, without a search in PATH; may be "/proc/self/fd/N" ([Binary.ExecPath])
	Argv  []string // with Argv[0]
	Env   []string // the whole environment, "NAME=value"
	Dir   string   // working directory; empty: ours
	Files []int    // our descriptor for each of the child's, from 0 on; -1: closed
	// NoNewPrivs keeps the child, and what it executes, from gaining privileges
	// by a set-user-ID program or the like (prctl(2), PR_SET_NO_NEW_PRIVS).
	NoNewPrivs bool
	// Terminal lets the child lead a session of its own, whose terminal is its
	// descriptor 0 (setsid(2), ioctl_tty(2), TIOCSCTTY).
	Terminal bool
	// Cgroup is the group that the child is born in; empty: ours.
	Cgroup Cgroup
}

// Starter starts processes.
type Starter interface {
	// Start starts c and returns once the new program runs or could not be
	// executed. The error wraps that of the kernel, so that a caller can match
	// those that pass: EAGAIN, ENOMEM, ETXTBSY (a binary that is still being
	// written). It may be called from any goroutine. The descriptors in c.Files
	// must stay open until it returns, not longer.
	Start(c Command) (Process, error)
}

// Adopter takes over processes that were started before.
type Adopter interface {
	// Adopt returns the process that pid and startTime ([Process.StartTime])
	// identify: one that an earlier image of this process started, before
	// execve(2), or an earlier primary that is gone. The caller makes sure
	// that startTime was read since the machine booted, and that the process
	// leads its own group, as those of [Starter] do.
	//
	// If that process is gone, the error is os.ErrProcessDone, even if another
	// process has the pid now. A process that has ended and was not reaped yet
	// is adopted, and its Exit comes at once. It may be called from any
	// goroutine.
	Adopt(pid int, startTime uint64) (Process, error)
}

// Process is a process that was started or adopted. Its methods may be called
// from any goroutine.
type Process interface {
	// PID is the process id, which is also the id of its process group.
	PID() int
	// StartTime identifies the process together with its pid: field 22 of
	// /proc/PID/stat, clock ticks since boot (proc_pid_stat(5)).
	StartTime() uint64
	// Signal sends sig to the process group. After the process was reaped it
	// sends nothing and returns os.ErrProcessDone. A process that is not our
	// child counts as reaped when we know that it has ended.
	Signal(sig syscall.Signal) error
	// Usage returns what the process uses now; os.ErrProcessDone after it was
	// reaped.
	Usage() (Usage, error)
	// Wait returns a channel that gives one Exit after the process was reaped
	// and is then closed. It is always the same channel.
	Wait() <-chan Exit
}

// Exit is how a process ended.
type Exit struct {
	Code       int            // exit status; -1 when a signal ended it or it is Unknown
	Signal     syscall.Signal // the signal that ended it, else 0
	CoreDumped bool
	Unknown    bool          // how it ended is not known; only At is set
	At         time.Time     // when it was reaped; not our child: when it ended
	CPU        time.Duration // user and system time, its own reaped children included; 0: not our child
	MaxRSS     int64         // bytes, the highest resident set; 0: not our child
}

// Usage is what a process uses.
type Usage struct {
	CPU time.Duration // user and system time so far
	RSS int64         // bytes, the resident set
}
