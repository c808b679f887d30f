package primary

import (
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

// Limits of the connections of a peer to one of the primary's sockets, each from
// its accept to its end. One more is closed at once.
const (
	workerConns   = 64   // a worker's process
	shellConns    = 2048 // a process of the admin port: each running command needs one
	trustedConns  = 1024 // all other processes of root, and those of the cluster's own user
	poolConns     = 128  // all other processes of one pool's user
	strangerConns = 16   // all processes of all other users
	// keptConns is what each peer has even when descriptors are scarce: a
	// worker's lasting conversation, and the one that replaces it.
	keptConns = 2
)

// admission decides who may connect to one of the primary's sockets. It never
// waits, so no peer holds up another. A worker's process has places of its own,
// so that other processes of its user cannot keep it out.
type admission struct {
	mu    sync.Mutex // a leaf; protects peers and what they hold
	peers map[peerKey]*peer
}

// peerKey is a process, else a user; neither: a stranger.
type peerKey struct {
	kind peerKind
	id   uint32
}

type peerKind int

const (
	ofStranger peerKind = iota
	ofUser
	ofProcess
)

type peer struct {
	name    string // for the refusal; empty: no reason is given
	limit   int
	open    int
	trusted bool // it may use scarce descriptors
}

func newAdmission(poolUsers []uint32) *admission {
	a := &admission{peers: map[peerKey]*peer{{}: {limit: strangerConns}}}
	for _, uid := range poolUsers {
		a.peers[peerKey{ofUser, uid}] = &peer{limit: poolConns}
	}
	for _, uid := range []uint32{0, uint32(os.Geteuid())} {
		a.peers[peerKey{ofUser, uid}] = &peer{name: fmt.Sprintf("uid %d", uid), limit: trustedConns, trusted: true}
	}
	return a
}

func poolUsers(pools []control.PoolSpec) (users []uint32) {
	for _, p := range pools {
		if p.RunAs != nil {
			users = append(users, p.RunAs.UID)
		}
	}
	return users
}

// worker gives a process its own places until it has ended.
func (a *admission) worker(pid int, id string, admin bool) (ended func()) {
	n := workerConns
	if admin {
		n = shellConns
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	key := peerKey{ofProcess, uint32(pid)}
	p := a.peers[key]
	if p == nil {
		p = &peer{name: "worker " + id}
		a.peers[key] = p
	}
	p.limit, p.trusted = p.limit+n, p.trusted || admin
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if p.limit -= n; p.limit == 0 {
			delete(a.peers, key)
		}
	}
}

// admit takes a place for a connection, until leave is called.
func (a *admission) admit(c *net.UnixConn, conn *ipc.Conn) (leave func(), err error) {
	fd, err := inherit.RawFD(c)
	if err != nil {
		return nil, errRefused
	}
	cred, err := conn.Peer()
	if err != nil {
		return nil, errRefused
	}
	return a.enter(*cred, fd)
}

func (a *admission) enter(cred unix.Ucred, fd int) (leave func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.peers[peerKey{ofProcess, uint32(cred.Pid)}]
	if p == nil {
		p = a.peers[peerKey{ofUser, cred.Uid}]
	}
	if p == nil {
		p = a.peers[peerKey{}]
	}
	switch {
	case p.open >= p.limit:
		return nil, p.refuse(fmt.Sprintf("%s has %d connections to the primary, the most that it may have: end one first", p.name, p.open))
	case !p.trusted && p.open >= keptConns && scarce(fd):
		return nil, p.refuse("the primary has few descriptors left: raise its limit (prlimit --nofile, LimitNOFILE)")
	}
	p.open++
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		p.open--
	}, nil
}

// refuse is the error of a connection that finds no place.
func (p *peer) refuse(why string) error {
	if p.name == "" {
		return errRefused
	}
	return &control.Error{Code: control.ErrBusy.Code, Message: why}
}

// scarce reports whether half of the primary's descriptors are in use; a new one
// is the lowest that is free. The other half is for its own work, for the admin
// port and for root.
func scarce(fd int) bool {
	var limit unix.Rlimit
	return unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil && uint64(fd) >= limit.Cur/2
}
