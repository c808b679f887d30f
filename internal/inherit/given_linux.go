package inherit

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Given makes a group of a socket that another process opened and keeps, as systemd
// for a .socket unit. It must listen on l; port 0 stands for the port that it has.
// With Slots it is the socket of slot 0, unless the kernel refuses that. Closing the
// group leaves the file of a unix socket to that process. An address on which further
// sockets listen, of workers that were left over, is an [*InUseError].
//
// On success the group owns the descriptor, closed on exec.
func Given(l Listen, share string, fd int) (*Group, error) {
	g, err := Restore(l, share, []int{fd})
	if err != nil {
		return nil, err
	}
	if g.file != nil {
		g.file.close()
		g.file = nil
	}
	if share == One || l.Path != "" {
		return g, nil
	}
	if others := listeningAt(g.bound); len(others) > 1 {
		return nil, fmt.Errorf("listen %s: %w", l.network(), inUseBy(root(holders(others), parent)))
	}
	if g.mode == One && g.canSteer() == nil && unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) == nil {
		g.mode = Slots
	}
	return g, nil
}
