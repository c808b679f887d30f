package adminport

import (
	"errors"
	"io"
	"os"
	"sync"
)

// Bounds of unread input in bytes.
const (
	maxAhead     = 1 << 20 // of a session
	maxUserAhead = 4 << 20 // of a user
	maxAllAhead  = 16 << 20
)

var (
	errAhead    = errors.New("too much input before it is read: send it in parts")
	errExtended = errors.New("a client that sends what only servers send")
)

// intakes bounds the input that the server keeps for commands that have not read
// it. If it is too much, the connection of the session that has most of it ends:
// of the same user, or of the user who has most. Reading on and dropping would
// cost processor time for as long as the client sends.
type intakes struct {
	mu    sync.Mutex // protects what follows and every intake; a leaf
	all   int
	users map[string]int
	open  map[*intake]struct{} // those that hold input
}

// intake takes what a client sends on a channel at once. x/crypto/ssh would keep
// 2 MiB of it for each channel, and fifty times as much memory if it comes byte
// by byte.
type intake struct {
	all  *intakes
	user string
	over func()

	more *sync.Cond // of all.mu
	held []byte
	err  error // why nothing is added; what is held can still be read
}

func newIntakes() *intakes {
	return &intakes{users: map[string]int{}, open: map[*intake]struct{}{}}
}

func (a *intakes) of(user string, over func()) *intake {
	return &intake{all: a, user: user, over: over, more: sync.NewCond(&a.mu)}
}

// pump reads r to its end, with or without room for it.
func (in *intake) pump(r io.Reader) {
	buf := make([]byte, 4<<10)
	for {
		n, err := r.Read(buf)
		in.put(buf[:n], err)
		if err != nil {
			return
		}
	}
}

func (in *intake) put(p []byte, err error) {
	for _, greedy := range in.add(p, err) {
		greedy.over()
	}
}

// add returns the intakes that lose their input.
func (in *intake) add(p []byte, err error) []*intake {
	in.all.mu.Lock()
	defer in.all.mu.Unlock()
	if in.err != nil {
		return nil
	}
	in.held, in.err = append(in.held, p...), err
	in.count(len(p))
	in.more.Signal()
	return in.all.relieve(in)
}

func (in *intake) Read(p []byte) (int, error) {
	in.all.mu.Lock()
	defer in.all.mu.Unlock()
	for len(in.held) == 0 && in.err == nil {
		in.more.Wait()
	}
	if len(in.held) == 0 {
		return 0, in.err
	}
	n := copy(p, in.held)
	in.held = in.held[n:]
	in.count(-n)
	return n, nil
}

func (in *intake) close() {
	in.all.mu.Lock()
	defer in.all.mu.Unlock()
	in.drop(os.ErrClosed)
}

// drop discards what is held and takes no more. all.mu is held.
func (in *intake) drop(why error) {
	n := len(in.held)
	in.held, in.err = nil, why
	in.count(-n)
	in.more.Signal()
}

// count adds n to what is held. all.mu is held.
func (in *intake) count(n int) {
	a := in.all
	a.all += n
	if a.users[in.user] += n; a.users[in.user] == 0 {
		delete(a.users, in.user)
	}
	if len(in.held) > 0 {
		a.open[in] = struct{}{}
		return
	}
	in.held = nil
	delete(a.open, in)
}

// relieve drops input until all bounds hold. a.mu is held.
func (a *intakes) relieve(in *intake) (dropped []*intake) {
	drop := func(in *intake) {
		in.drop(errAhead)
		dropped = append(dropped, in)
	}
	if len(in.held) > maxAhead {
		drop(in)
	}
	for a.users[in.user] > maxUserAhead {
		drop(a.greediest(in.user))
	}
	for a.all > maxAllAhead {
		user := ""
		for name, n := range a.users {
			if n > a.users[user] {
				user = name
			}
		}
		drop(a.greediest(user))
	}
	return dropped
}

// greediest is the intake of user that holds most. a.mu is held.
func (a *intakes) greediest(user string) (most *intake) {
	for in := range a.open {
		if in.user == user && (most == nil || len(in.held) > len(most.held)) {
			most = in
		}
	}
	return most
}
