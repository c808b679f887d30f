package inherit

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Restore makes a group of existing sockets: they came over execve(2), or a
// process that survived the primary gave them back (SCM_RIGHTS). fds must be
// the whole set in slot order, which is the order in which they began to listen
// and by which [Group.Steer] numbers them; the kernel does not tell that order.
// Copies of the descriptors will do.
//
// Each must listen on l (port 0 stands for the port that all of them have), and
// no socket may be there twice. The mode is as found: with Slots wanted, a
// single socket that cannot be shared is a group of mode One. A steering
// program stays in force until the next Steer; a single socket is the choice
// until then.
//
// On success the group owns the descriptors, closed on exec; otherwise they
// stay as they were, for the caller to close.
func Restore(l Listen, share string, fds []int) (*Group, error) {
	g := &Group{listen: l, fds: slices.Clone(fds), attach: attachProgram}
	if err := g.restore(share); err != nil {
		return nil, fmt.Errorf("restore %s: %w", l.network(), err)
	}
	return g, nil
}

func (g *Group) restore(share string) error {
	switch {
	case share != Slots && share != One:
		return fmt.Errorf("unknown share %.20q", share)
	case len(g.fds) == 0:
		return errors.New("no sockets")
	case len(g.fds) > 1 && (share == One || g.listen.Path != ""):
		return fmt.Errorf("%d sockets where all processes share one", len(g.fds))
	}
	for slot, fd := range g.fds {
		if err := g.recognize(fd); err != nil {
			return fmt.Errorf("slot %d, descriptor %d: %w", slot, fd, err)
		}
	}
	if err := distinct(g.fds); err != nil {
		return err
	}
	if err := g.findMode(share); err != nil {
		return err
	}
	if err := CloseOnExec(g.fds); err != nil {
		return err
	}
	if len(g.fds) == 1 {
		g.ready = []int{0} // it has had all connections, and stays the choice when the group grows
	}
	g.file = restoredFile(g.listen.Path)
	return nil
}

// recognize reports why fd cannot be a socket of the group.
func (g *Group) recognize(fd int) error {
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	switch {
	case errors.Is(err, unix.ENOTSOCK) || err == nil && listens == 0:
		return errNotListening
	case err != nil:
		return err
	case g.listen.Path != "":
		return recognizeUnix(fd, g.listen.Path)
	}
	return g.recognizeTCP(fd)
}

func (g *Group) recognizeTCP(fd int) error {
	protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if err != nil {
		return err
	}
	bound, err := boundTo(fd)
	if err != nil {
		return err
	}
	if protocol != unix.IPPROTO_TCP { // MPTCP, which cannot be steered
		return fmt.Errorf("a socket of protocol %d on %s, want TCP", protocol, bound)
	}
	if g.bound.IsValid() && bound != g.bound {
		return fmt.Errorf("listens on %s, the one before it on %s", bound, g.bound)
	}
	if !g.listen.fits(bound) {
		return fmt.Errorf("listens on %s", bound)
	}
	g.bound = bound
	return nil
}

// fits tells whether Open(l) may have led to a socket on bound.
func (l Listen) fits(bound netip.AddrPort) bool {
	if l.TCP.Port() != 0 && l.TCP.Port() != bound.Port() {
		return false
	}
	want, is := l.TCP.Addr(), bound.Addr()
	return is == want || want == netip.IPv6Unspecified() && is == netip.IPv4Unspecified() // openTCP
}

func recognizeUnix(fd int, path string) error {
	if err := checkUnix(fd); err != nil {
		return err
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return err
	}
	u, _ := sa.(*unix.SockaddrUnix)
	if u == nil {
		return errNotUnix
	}
	if u.Name != path && !boundThroughDirectory(u.Name, path) {
		return fmt.Errorf("listens on %.200q", u.Name)
	}
	return nil
}

// boundThroughDirectory reports whether name is a name that socketPath could
// have made of path, with the descriptor of another process in it.
func boundThroughDirectory(name, path string) bool {
	return len(path) > maxSockaddr && strings.HasPrefix(name, "/proc/self/fd/") && filepath.Base(name) == filepath.Base(path)
}

// distinct refuses a socket that is there twice: slots would share it, and the
// index of each one after it would be wrong.
func distinct(fds []int) error {
	seen := map[uint64]int{}
	for slot, fd := range fds {
		cookie, err := Cookie(fd)
		if err != nil {
			return err
		}
		if other, twice := seen[cookie]; twice {
			return fmt.Errorf("slots %d and %d have the same socket (descriptors %d and %d)", other, slot, fds[other], fd)
		}
		seen[cookie] = slot
	}
	return nil
}

// Cookie identifies a socket for as long as the machine runs: copies of a
// descriptor have the same, another socket never has (SO_COOKIE, socket(7)).
func Cookie(fd int) (uint64, error) {
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	if err != nil {
		return 0, fmt.Errorf("cookie of descriptor %d: %w", fd, err)
	}
	return cookie, nil
}

func (g *Group) findMode(share string) error {
	g.mode = One
	if share == One || g.listen.Path != "" {
		return nil
	}
	for slot, fd := range g.fds {
		shared, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT)
		switch {
		case err != nil:
			return fmt.Errorf("slot %d, descriptor %d: %w", slot, fd, err)
		case shared == 0 && len(g.fds) > 1:
			return fmt.Errorf("slot %d, descriptor %d: a socket that is not shared (SO_REUSEPORT)", slot, fd)
		case shared != 0:
			g.mode = Slots
		}
	}
	return nil
}

// restoredFile returns the file of a restored unix socket, or nil if it has
// gone, and with it the way to the group. Without privilege the kernel does not
// tell whether the file is that of the socket, so it is removed in the end only
// if no process listens on it then.
func restoredFile(path string) *unixFile {
	if path == "" {
		return nil
	}
	f, err := newUnixFile(path)
	if err != nil {
		return nil
	}
	if st, err := f.stat(); err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		f.close()
		return nil
	}
	if err := f.remember(); err != nil {
		f.close()
		return nil
	}
	f.restored = true
	return f
}
