package inherit

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// KeepOverExec leaves exactly these descriptors open over execve(2), or none of
// them if there is an error. undo makes them close on exec again, after a
// failed exec. A process that is started in between gets them, too: prevent
// that first (proc.OS.Freeze).
//
// It never touches the mode of a socket, which others share; File.Fd would
// turn it to blocking.
func KeepOverExec(fds []int) (undo func(), err error) {
	kept := slices.Clone(fds)
	undo = func() { _ = CloseOnExec(kept) } // fails only for descriptors that are closed
	for _, fd := range kept {
		if err := setFlags(fd, 0); err != nil {
			undo()
			return nil, err
		}
	}
	return undo, nil
}

// CloseOnExec makes descriptors closed on exec. It does so for all that are
// open, and returns an error for those that are not.
func CloseOnExec(fds []int) error {
	var errs []error
	for _, fd := range fds {
		errs = append(errs, setFlags(fd, unix.FD_CLOEXEC))
	}
	return errors.Join(errs...)
}

// setFlags sets the flags of a descriptor, of which FD_CLOEXEC is the only one
// (fcntl(2)).
func setFlags(fd, flags int) error {
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags); err != nil {
		return fmt.Errorf("flags of descriptor %d: %w", fd, err)
	}
	return nil
}

// AdoptUnix makes a unix stream socket that listens, and that came over
// execve(2), a listener, as [ListenUnix] made it. On success the descriptor is
// the listener's, under another number and closed on exec; otherwise it stays
// open.
func AdoptUnix(fd int) (*net.UnixListener, error) {
	if err := checkUnix(fd); err != nil {
		return nil, fmt.Errorf("adopt descriptor %d: %w", fd, err)
	}
	l, err := Listener(fd)
	if err != nil {
		return nil, err
	}
	return l.(*net.UnixListener), nil
}

var errNotUnix = errors.New("not a unix stream socket")

func checkUnix(fd int) error {
	family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if errors.Is(err, unix.ENOTSOCK) {
		return errNotListening
	}
	if err != nil {
		return err
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return err
	}
	if family != unix.AF_UNIX || kind != unix.SOCK_STREAM {
		return errNotUnix
	}
	return nil
}

// RawFD is the descriptor of a listener, a connection or a file, for
// [KeepOverExec]. It stays c's, and is good only until c is closed: keep c
// referenced, or a finalizer closes it. Unlike the one of File.Fd its mode stays
// as it is.
func RawFD(c syscall.Conn) (int, error) {
	conn, err := c.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("descriptor: %w", err)
	}
	number := -1
	if err := conn.Control(func(fd uintptr) { number = int(fd) }); err != nil {
		return -1, fmt.Errorf("descriptor: %w", err)
	}
	return number, nil
}
