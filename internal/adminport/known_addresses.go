package adminport

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// While a source is blocked, an address of it from which somebody has logged in
// may still try keys, so that a guesser behind the same NAT or in the same /64
// does not shut out users who need no password.
const (
	keyWayEvery = 10 * time.Second // in the long run
	keyWayBurst = 3
	// maxKnown bounds the addresses of one user; nobody can push out those of
	// another.
	maxKnown = 8
)

// knownAddresses are those from which users logged in, kept in a file for the
// next process.
type knownAddresses struct {
	path string // empty: it is forgotten with the process

	saving sync.Mutex // one writer of this process at a time
	mu     sync.Mutex // protects what follows; a leaf
	users  map[string][]netip.Addr
}

func openKnownAddresses(path string) (*knownAddresses, error) {
	users, err := readShared[[]netip.Addr](path)
	return &knownAddresses{path: path, users: users}, err
}

func (k *knownAddresses) note(user string, addr netip.Addr) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !addr.IsValid() || slices.Contains(k.users[user], addr) {
		return false
	}
	k.users[user] = newest(append(slices.Clone(k.users[user]), addr))
	return true
}

func newest(list []netip.Addr) []netip.Addr { return list[max(0, len(list)-maxKnown):] }

func (k *knownAddresses) has(addr netip.Addr) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, list := range k.users {
		if slices.Contains(list, addr) {
			return true
		}
	}
	return false
}

// save adds the addresses to the file, for users who still exist.
func (k *knownAddresses) save(there func(user string) bool) error {
	if k.path == "" {
		return nil
	}
	k.saving.Lock()
	defer k.saving.Unlock()
	_, err := editShared(k.path, func(disk map[string][]netip.Addr) map[string][]netip.Addr { return k.merge(disk, there) })
	return err
}

// merge adopts the addresses of other processes, without users who no longer
// exist.
func (k *knownAddresses) merge(disk map[string][]netip.Addr, there func(string) bool) map[string][]netip.Addr {
	k.mu.Lock()
	defer k.mu.Unlock()
	for user, list := range k.users {
		for _, addr := range list {
			if !slices.Contains(disk[user], addr) {
				disk[user] = append(disk[user], addr)
			}
		}
		disk[user] = newest(disk[user])
	}
	maps.DeleteFunc(disk, func(user string, _ []netip.Addr) bool { return !there(user) })
	k.users = maps.Clone(disk)
	return disk
}

// keyWay reports whether a connection from addr may try a key although its source
// is blocked. l.mu is held.
func (l *limits) keyWay(src *source, addr netip.Addr, now time.Time) bool {
	if l.known == nil || !l.known.has(addr) {
		return false
	}
	next := src.keyWay
	if next.Before(now) {
		next = now
	}
	if next.Sub(now) > (keyWayBurst-1)*keyWayEvery {
		return false
	}
	src.keyWay = next.Add(keyWayEvery)
	return true
}
