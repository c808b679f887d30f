package seize

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// errPolled is a socket in an epoll set, from which it would vanish: the program
// would wait for ever. Boost.Asio registers sockets before they listen.
var errPolled = errors.New("the program polls its socket before it listens (epoll_ctl(2))")

// descriptor is what the first argument of a call of listen is.
type descriptor struct {
	pid                           int    // of the process, not of the thread that calls
	port                          uint16 // 0: no internet socket, or none at all
	cookie                        uint64 // of the socket (SO_COOKIE); 0: no socket
	nonblock, closeOnExec, polled bool
}

// inspect looks at the descriptor of a call. A call that the kernel will refuse
// anyway, or whose thread has gone, is an empty descriptor.
//
// The port of a socket that does not listen yet stands in no table of /proc, so
// we need a copy of it.
func inspect(call *notification) (d descriptor, err error) {
	dir := "/proc/" + strconv.Itoa(int(call.pid))
	pid, err1 := field(dir+"/status", "Tgid:", 10)
	flags, err2 := field(dir+"/fdinfo/"+strconv.Itoa(call.fd()), "flags:", 8)
	if err := errors.Join(err1, err2); err != nil {
		return d, unlessGone(err)
	}
	d.pid, d.nonblock, d.closeOnExec = pid, flags&unix.O_NONBLOCK != 0, flags&unix.O_CLOEXEC != 0
	copied, err := copyOf(pid, call.fd())
	if err != nil {
		return d, unlessGone(err)
	}
	defer unix.Close(copied)
	d.cookie, d.port = cookie(copied), boundTo(copied)
	if d.port != 0 {
		d.polled = polled(dir+"/fdinfo", call.fd())
	}
	return d, nil
}

// unlessGone is nil where a process or its descriptor is no more.
func unlessGone(err error) error {
	for _, gone := range []error{unix.ENOENT, unix.ESRCH, unix.EBADF} {
		if errors.Is(err, gone) {
			return nil
		}
	}
	return err
}

// copyOf copies a descriptor of another process (pidfd_getfd(2)).
func copyOf(pid, fd int) (int, error) {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1, fmt.Errorf("open process %d: %w", pid, err)
	}
	defer unix.Close(process)
	copied, err := unix.PidfdGetfd(process, fd, 0)
	if err != nil {
		return -1, fmt.Errorf("copy descriptor %d of process %d: %w", fd, pid, err)
	}
	return copied, nil
}

func cookie(fd int) uint64 {
	c, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	if err != nil {
		return 0 // not a socket
	}
	return c
}

func boundTo(fd int) (port uint16) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 0
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return uint16(sa.Port)
	case *unix.SockaddrInet6:
		return uint16(sa.Port)
	}
	return 0
}

// polled tells whether fd is in an epoll set of the process
// (proc_pid_fdinfo(5): "tfd: 5 events: …").
func polled(fdinfo string, fd int) bool {
	entries, err := os.ReadDir(fdinfo)
	if err != nil {
		return false
	}
	for _, e := range entries {
		b, _ := os.ReadFile(fdinfo + "/" + e.Name()) // one that was closed meanwhile is no epoll set
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "tfd:" && f[1] == strconv.Itoa(fd) {
				return true
			}
		}
	}
	return false
}

// field reads a number that follows a name in a file of /proc.
func field(file, name string, base int) (int, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(rest), base, 32)
			return int(n), err
		}
	}
	return 0, fmt.Errorf("%s: no %s", file, name)
}
