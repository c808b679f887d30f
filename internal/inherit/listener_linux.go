package inherit

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

var errNotListening = errors.New("not a socket that listens")

// Listener takes over an inherited descriptor as a listener; after an error it is
// left as it was. The socket, which others share, is set to non-blocking mode.
// Closing the listener closes only this process's copy and removes no file.
func Listener(fd int) (net.Listener, error) {
	l, err := listener(fd)
	if err != nil {
		return nil, fmt.Errorf("inherited descriptor %d: %w", fd, err)
	}
	return l, nil
}

func listener(fd int) (net.Listener, error) {
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	switch {
	case errors.Is(err, unix.ENOTSOCK) || err == nil && listens == 0:
		return nil, errNotListening
	case err != nil:
		return nil, err
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	// FileListener makes a copy. The file is made of a copy, too, so that an
	// error leaves fd as it was.
	l, err := fileListener(fd)
	if err != nil {
		return nil, err
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	unix.Close(fd)
	return l, nil
}

func fileListener(fd int) (net.Listener, error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(dup), "listener")
	defer f.Close()
	return net.FileListener(f)
}
