package primary

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
)

// given are listening sockets that the manager of the primary, such as systemd with a
// .socket unit, has opened for it (sd_listen_fds(3)). They stay open: a pool may come
// back to its address.
type given struct {
	sockets []givenSocket
}

type givenSocket struct {
	fd   int
	name string // FileDescriptorName= of the unit, else that of the unit
	used bool
}

// firstGiven is the number of the first of them.
const firstGiven = 3

// takeGiven takes them, if they are for this process; nil: there are none.
func takeGiven() *given {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil
	}
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || n <= 0 {
		return nil
	}
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	g := &given{}
	for i := range n {
		s := givenSocket{fd: firstGiven + i}
		if i < len(names) {
			s.name = names[i]
		}
		if inherit.CloseOnExec([]int{s.fd}) == nil {
			g.sockets = append(g.sockets, s)
		}
	}
	return g
}

// open makes a listener of the given socket for an address: one that has the name of
// the listener or of its pool, or that listens there. nil: there is none.
func (g *given) open(listen inherit.Listen, share string, names ...string) (*inherit.Group, error) {
	if g == nil {
		return nil, nil
	}
	for i, s := range g.sockets {
		named := slices.Contains(names, s.name)
		if s.used && named {
			continue // of several addresses of a pool each has its own
		}
		if !named && listen.Path == "" && listen.TCP.Port() == 0 {
			continue // any port would fit
		}
		fd, err := unix.FcntlInt(uintptr(s.fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		group, err := inherit.Given(listen, share, fd)
		if err == nil {
			g.sockets[i].used = true
			return group, nil
		}
		_ = unix.Close(fd)
		if errors.Is(err, unix.EADDRINUSE) {
			return nil, err
		}
	}
	return nil, nil
}

// unused tells of sockets that no pool listens on: clients connect there, and wait
// for ever. While workers of an earlier primary come back, it is not known.
func (g *given) unused(l *loop) {
	if g == nil || slices.ContainsFunc(l.pools, func(p *pool) bool { return p.adoption != nil }) {
		return
	}
	for _, s := range g.sockets {
		if !s.used {
			l.tell(control.Event{Kind: control.EventClusterTrouble, Text: fmt.Sprintf("the socket %q of LISTEN_FDS belongs to no pool: name its address in listen, or give it the name of a pool (FileDescriptorName=)", s.name)})
		}
	}
}
