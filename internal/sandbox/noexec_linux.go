package sandbox

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// errArch is an architecture whose system calls the filter does not know.
var errArch = errors.New("no filter of system calls for " + runtime.GOARCH)

// refused are the system calls by which a process becomes another program or
// reaches into one.
var refused = []uint32{
	unix.SYS_EXECVE, unix.SYS_EXECVEAT,
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_GETFD,
}

// Where the number of a call and the architecture stand in struct seccomp_data
// (seccomp(2)).
const (
	offsetNumber = 0
	offsetArch   = 4
)

// x32 marks the calls of the third ABI of amd64, which have numbers of their own.
const x32 = 0x40000000

// NoExec forbids this process to execute programs and to trace or read others:
// such a call fails with EPERM. It also sets no_new_privs, without which an
// unprivileged process may install no filter.
func NoExec() error {
	arch, ok := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	if !ok {
		return errArch
	}
	// The filter is installed from one thread and given to all others, and
	// no_new_privs goes with it (seccomp(2), SECCOMP_FILTER_FLAG_TSYNC).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	code := filter(arch)
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	switch {
	case errno != 0:
		return fmt.Errorf("install a filter of system calls: %w", errno)
	case thread != 0:
		return fmt.Errorf("install a filter of system calls: thread %d has one of its own", thread)
	}
	return nil
}

// filter allows every call but those of another ABI and the refused ones.
func filter(arch uint32) []unix.SockFilter {
	refuse := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)}
	code := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offsetArch},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: arch, Jt: 1},
		refuse,
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offsetNumber},
	}
	if arch == unix.AUDIT_ARCH_X86_64 {
		code = append(code, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: x32, Jf: 1}, refuse)
	}
	for _, number := range refused {
		code = append(code, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: number, Jf: 1}, refuse)
	}
	return append(code, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
}
