package inherit

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

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
	attach attachFunc
	ready  []int // the last choice of Steer
}

// Open listens on l with the socket of slot 0. share is Slots or One; a unix
// socket is always One, and so is an address where the kernel refuses what
// Slots needs ([Group.Mode] tells). An address that somebody listens on already
// is an [*InUseError].
func Open(l Listen, share string) (*Group, error) { return open(l, share, attachProgram) }

func open(l Listen, share string, attach attachFunc) (*Group, error) {
	g := &Group{listen: l, mode: One, attach: attach}
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
	fd, err := tcpSocket(addr, false)
	if errors.Is(err, unix.EAFNOSUPPORT) && addr.Addr() == netip.IPv6Unspecified() {
		addr = netip.AddrPortFrom(netip.IPv4Unspecified(), addr.Port()) // a machine without IPv6
		fd, err = tcpSocket(addr, false)
	}
	if err != nil {
		return explainInUse(addr, err)
	}
	if g.bound, err = boundTo(fd); err != nil {
		unix.Close(fd)
		return err
	}
	g.fds = []int{fd}
	// Where the kernel refuses, an ordinary socket is left.
	if share == Slots && g.canSteer() == nil && unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) == nil {
		g.mode = Slots
	}
	return nil
}

// canSteer tries the option on a socket that is thrown away.
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

// Listen is what the group was opened with.
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
		fd, err := tcpSocket(g.bound, true)
		if err != nil {
			return fmt.Errorf("listen tcp %s for slot %d: %w", g.bound, slot, err)
		}
		g.fds = append(g.fds, fd)
		if len(g.fds) == 2 && g.ready != nil {
			// Only now there is a group, and it spreads connections over both.
			if err := g.Steer(g.ready); err != nil {
				return err
			}
		}
	}
	return nil
}

// FD is the descriptor to hand to a process of the slot, or -1 if the slot has
// none. It stays the group's.
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

// FDs are the descriptors of all slots, in order; in mode One there is one. They
// stay the group's.
func (g *Group) FDs() []int { return slices.Clone(g.fds) }

// Close is the final stop: it closes all sockets, so that clients are refused,
// and removes the file of a unix socket if it is still the one that the group
// made, or one that it found and nobody listens on now. What is queued and held by no process is reset.
func (g *Group) Close() error {
	var errs []error
	if g.file != nil && !g.file.restored {
		errs = append(errs, g.file.remove())
	}
	for _, fd := range g.fds {
		if err := unix.Close(fd); err != nil {
			errs = append(errs, fmt.Errorf("close socket: %w", err))
		}
	}
	if g.file != nil && g.file.restored {
		errs = append(errs, g.file.removeUnheld())
	}
	g.fds, g.file = nil, nil
	return errors.Join(errs...)
}
