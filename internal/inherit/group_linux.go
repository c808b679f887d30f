package inherit

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// How the processes of a pool share an address.
const (
	Slots = "slots" // a socket for each slot, steered
	One   = "one"   // one socket for all
)

// Group is the sockets of one address. Its descriptors are plain numbers that
// no finalizer closes.
type Group struct {
	listen Listen
	bound  netip.AddrPort // with the port in use
	mode   string
	fds    []int     // by slot; a single one in mode One
	file   *unixFile // of a unix socket
	access *Access   // to it; nil: as the umask leaves it
	attach attachFunc
	ready  []int // the last choice of Steer

	mu    sync.Mutex // a leaf; protects the fields below
	holds int
	over  bool // closed, and kept until the last hold is released
}

// Open listens on l with the socket of slot 0. share is Slots or One; a unix
// socket is always One, and so is an address where the kernel refuses what
// Slots needs ([Group.Mode] tells). An address on which a process listens
// already is an [*InUseError].
func Open(l Listen, share string) (*Group, error) { return OpenFor(nil, l, share) }

// OpenFor is Open with the access to a unix socket; nil: as the umask leaves it.
func OpenFor(access *Access, l Listen, share string) (*Group, error) {
	return open(&Group{listen: l, mode: One, attach: attachProgram, access: access}, share)
}

func open(g *Group, share string) (*Group, error) {
	l := g.listen
	var err error
	switch {
	case share != Slots && share != One:
		err = fmt.Errorf("unknown share %.20q", share)
	case l.Path != "":
		err = g.openUnix()
	default:
		err = g.openTCP(share)
	}
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", l.network(), err)
	}
	return g, nil
}

// network is the address in the way of package net: "tcp 127.0.0.1:80".
func (l Listen) network() string {
	if l.Path != "" {
		return "unix " + l.Path
	}
	return "tcp " + l.TCP.String()
}

// openTCP takes the address for us alone and only then lets our own sockets
// share it: SO_REUSEPORT before listen(2) would silently join the sockets of
// another cluster of the same user, and a check before the bind could be
// overtaken.
func (g *Group) openTCP(share string) error {
	addr := g.listen.TCP
	fd, err := tcpSocket(addr, alone)
	if errors.Is(err, unix.EAFNOSUPPORT) && addr.Addr() == netip.IPv6Unspecified() {
		addr = netip.AddrPortFrom(netip.IPv4Unspecified(), addr.Port()) // a machine without IPv6
		fd, err = tcpSocket(addr, alone)
	}
	if err != nil {
		return explainInUse(addr, err)
	}
	if g.bound, err = boundTo(fd); err != nil {
		unix.Close(fd)
		return err
	}
	g.fds = []int{fd}
	// If the kernel refuses, it stays an ordinary socket.
	if share == Slots && g.canSteer() == nil && unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) == nil {
		g.mode = Slots
	}
	return nil
}

// canSteer tries the option on a temporary socket.
func (g *Group) canSteer() error {
	fd, err := newTCPSocket(g.bound.Addr())
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return err
	}
	return g.attach(fd, steering([]int{0}))
}

func (g *Group) Listen() Listen { return g.listen }

// Addr is the address as bound, with the port in use: "tcp://127.0.0.1:43210"
// or "unix:///run/app.sock".
func (g *Group) Addr() string { return Listen{TCP: g.bound, Path: g.listen.Path}.address() }

// Mode is how the address is really shared, Slots or One.
func (g *Group) Mode() string { return g.mode }

// Len is how many slots have a socket; in mode One it is 1.
func (g *Group) Len() int { return len(g.fds) }

// Grow gives slots 0 to n-1 a socket. Those that have one keep it, also when n
// is less. A new socket gets connections at once unless the group is steered.
func (g *Group) Grow(n int) error {
	if g.mode == One {
		return nil
	}
	for slot := len(g.fds); slot < n; slot++ {
		add := g.add
		if slot == 1 && g.ready != nil {
			add = g.addSecond
		}
		if err := add(); err != nil {
			return fmt.Errorf("listen tcp %s for slot %d: %w", g.bound, slot, err)
		}
	}
	return nil
}

func (g *Group) add() error {
	fd, err := tcpSocket(g.bound, shared)
	if err == nil {
		g.fds = append(g.fds, fd)
	}
	return err
}

// addSecond adds a socket to a single one. The kernel makes a group, which can
// be steered, only when the second socket listens. Before it is steered, the
// second socket would get connections, too, and they would be reset if this
// process died. So it drops packets until then: a client sends its SYN again.
func (g *Group) addSecond() error {
	fd, err := tcpSocket(g.bound, shared|deaf)
	if err != nil {
		return err
	}
	g.fds = append(g.fds, fd)
	err = g.Steer(g.ready)
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
		if errors.Is(err, unix.ENOENT) {
			err = nil // there is none
		}
	}
	if err != nil {
		g.fds = g.fds[:1]
		unix.Close(fd)
	}
	return err
}

// FD returns the descriptor for a process of the slot, or -1 if the slot has
// none. The group keeps it.
func (g *Group) FD(slot int) int {
	switch {
	case len(g.fds) == 0 || slot < 0:
		return -1
	case g.mode == One:
		return g.fds[0]
	case slot >= len(g.fds):
		return -1
	}
	return g.fds[slot]
}

// FDs returns the descriptors of all slots, in order; in mode One there is one.
// The group keeps them.
func (g *Group) FDs() []int { return slices.Clone(g.fds) }

// Hold keeps the descriptors open for a caller that uses their numbers, even if
// the group is closed meanwhile. release may be called from any goroutine.
func (g *Group) Hold() (release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holds++
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.holds--; g.holds == 0 && g.over {
			_ = g.close() // nobody is left to read the error
		}
	})
}

// Close closes all sockets, so that clients are refused, and removes the file
// of a unix socket if the group made it, or found it and no process listens on
// it now: else [Group.RemoveFile] does so later. Connections in queues that no other
// process holds are reset. Close takes effect when the last hold is released
// ([Group.Hold]).
func (g *Group) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
	if g.holds > 0 {
		return nil
	}
	return g.close()
}

func (g *Group) close() error {
	var errs []error
	if g.file != nil && !g.file.restored {
		errs = append(errs, g.file.remove())
	}
	for _, fd := range g.fds {
		if err := unix.Close(fd); err != nil {
			errs = append(errs, fmt.Errorf("close socket: %w", err))
		}
	}
	g.fds = nil
	if g.file == nil || !g.file.restored {
		g.file = nil
		return errors.Join(errs...)
	}
	_, err := g.removeUnheld()
	return errors.Join(append(errs, err)...)
}

// RemoveFile removes the file of a closed group on which another process still
// listened when it was closed. It returns false as long as one does.
func (g *Group) RemoveFile() (done bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.over || g.holds > 0 {
		return false, nil
	}
	return g.removeUnheld()
}

func (g *Group) removeUnheld() (done bool, err error) {
	if g.file == nil {
		return true, nil
	}
	if g.file.alive() != nil {
		return false, nil
	}
	f := g.file
	g.file = nil
	return true, f.remove()
}
