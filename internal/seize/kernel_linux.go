package seize

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The structures of seccomp_unotify(2), which the number of each ioctl fixes
// the size of.

// notification is struct seccomp_notif with its struct seccomp_data.
type notification struct {
	id     uint64
	pid    uint32 // of the thread
	flags  uint32
	number int32
	arch   uint32
	ip     uint64
	args   [6]uint64
}

// fd is the first argument, an int.
func (n *notification) fd() int { return int(int32(n.args[0])) }

// response is struct seccomp_notif_resp.
type response struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

// addition is struct seccomp_notif_addfd.
type addition struct {
	id          uint64
	flags       uint32
	source      uint32
	target      uint32
	targetFlags uint32
}

func ioctl(fd int, request uint, arg unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(arg))
		switch {
		case errno == 0:
			return nil
		case !errors.Is(errno, unix.EINTR):
			return errno
		}
	}
}
