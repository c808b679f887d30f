package seize

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrSupervised says that system calls of this process have a supervisor
// already, that of a container for instance. The kernel allows one.
var ErrSupervised = errors.New("system calls have a supervisor already")

// architectures are the values of seccomp_data.arch by GOARCH: each has its own
// numbers of system calls.
var architectures = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

// flags of the filter. Without SPEC_ALLOW all of the program would run slower
// before Linux 5.16. With WAIT_KILLABLE_RECV (Linux 5.19) a call whose supervisor
// was killed before it answered would wait for ever; without, a signal begins it
// again.
const flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW

// Where the number of a call and the architecture stand in struct seccomp_data
// (seccomp(2)).
const (
	offsetNumber = 0
	offsetArch   = 4
)

// Install makes listen(2) wait for the supervisor that holds the returned
// descriptor: in this thread, and in all that it forks and executes. Nothing
// takes that back. The thread must be locked ([runtime.LockOSThread]) and have
// no_new_privs (prctl(2)), or CAP_SYS_ADMIN.
//
// The error is [ErrSupervised] where a program can be started only without.
func Install() (notify int, err error) {
	arch, ok := architectures[runtime.GOARCH]
	if !ok {
		return -1, errors.New("no filter of system calls for " + runtime.GOARCH)
	}
	code := filter(arch)
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	switch {
	case errors.Is(errno, unix.EBUSY):
		return -1, ErrSupervised
	case errno != 0:
		return -1, fmt.Errorf("install a filter of system calls: %w", errno)
	}
	return int(fd), nil
}

// filter asks the supervisor about listen and allows all else, also calls of
// another ABI. It reads nothing but the number and the architecture, so that the
// kernel asks it once for each number and remembers (Linux 5.11).
func filter(arch uint32) []unix.SockFilter {
	allow := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}
	return []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offsetArch},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: arch, Jt: 1},
		allow,
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offsetNumber},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_LISTEN, Jt: 1},
		allow,
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF},
	}
}

// Send hands the notify descriptor to the process at the other end of a unix
// stream socket and closes it here.
func Send(socket, notify int) error {
	defer unix.Close(notify)
	err := unix.Sendmsg(socket, []byte{0}, unix.UnixRights(notify), nil, unix.MSG_NOSIGNAL)
	if err != nil {
		return fmt.Errorf("send the notify descriptor: %w", err)
	}
	return nil
}

// Receive takes the notify descriptor from the other end of conn, whose
// deadlines hold. The error is io.EOF when that process has ended instead.
func Receive(conn *net.UnixConn) (notify int, err error) {
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(make([]byte, 1), oob)
	if err != nil {
		return -1, fmt.Errorf("receive the notify descriptor: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return -1, errors.New("receive the notify descriptor: a message without it")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1, errors.New("receive the notify descriptor: a message without it")
	}
	return fds[0], nil
}
