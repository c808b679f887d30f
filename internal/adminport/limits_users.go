package adminport

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// Reasons for which a connection after login must end; its user reads them.
var (
	errUserFull = errors.New("closed: too many connections of this user; this one had been idle, or busy, for longest")
	errMakeRoom = errors.New("closed: the admin port is full and this user has most connections")
)

type account struct {
	admin      bool
	admissions []*admission // in order of login
}

// userLimits are the connections after login, by user. Its methods are called
// with limits.mu held.
//
// They never take all places: [userLimits.kept] are reserved for logins, so that
// an admin can always log in.
type userLimits struct {
	max, kept, perUser int
	total              int
	accounts           map[string]*account
}

func newUserLimits(connections, perUser int) userLimits {
	kept := min(max(1, connections/10), connections-1)
	return userLimits{max: connections, kept: kept, perUser: perUser, accounts: map[string]*account{}}
}

// room returns the connection that must end for a new one of user, and why; nil:
// there is a place. It is an error if there is no place and none can be freed. A
// user with too many connections loses one of them. If all places are taken, the
// user with most connections loses one, but an admin only to the same admin.
func (p *userLimits) room(user string, admin bool) (victim *admission, why, err error) {
	own := len(p.of(user).admissions)
	switch {
	case own >= p.perUser:
		return oldest(p.accounts[user].admissions), errUserFull, nil
	case p.total < p.max-p.kept:
		return nil, nil, nil
	}
	greedy := p.greediest(false)
	switch {
	case admin && greedy != nil:
	case admin:
		greedy = p.greediest(true)
		fallthrough
	default:
		if greedy == nil || len(greedy.admissions) < own+2 {
			return nil, nil, errFull
		}
	}
	return oldest(greedy.admissions), errMakeRoom, nil
}

func (p *userLimits) greediest(admin bool) (most *account) {
	for _, a := range p.accounts {
		if a.admin == admin && (most == nil || len(a.admissions) > len(most.admissions)) {
			most = a
		}
	}
	return most
}

// oldest is the connection that has been idle for longest or, if none is idle,
// whose command began first.
func oldest(admissions []*admission) *admission {
	return slices.MinFunc(admissions, func(a, b *admission) int {
		return cmp.Or(cmp.Compare(min(a.running, 1), min(b.running, 1)), a.since.Compare(b.since))
	})
}

func (p *userLimits) of(user string) *account {
	if a := p.accounts[user]; a != nil {
		return a
	}
	return &account{}
}

func (p *userLimits) add(s *admission, user string, admin bool) {
	a := p.of(user)
	a.admin, a.admissions = admin, append(a.admissions, s)
	p.accounts[user] = a
	s.user, s.since = user, time.Now()
	p.total++
}

func (p *userLimits) remove(s *admission) {
	a := p.accounts[s.user]
	if a == nil || !slices.Contains(a.admissions, s) {
		return
	}
	a.admissions = slices.DeleteFunc(a.admissions, func(other *admission) bool { return other == s })
	if len(a.admissions) == 0 {
		delete(p.accounts, s.user)
	}
	p.total--
}

// loggedIn gives the turn to the next connection of the source and takes a place
// among those of user. Another connection may have to go for it.
func (s *admission) loggedIn(user string, admin bool) error {
	end, why, err := s.enter(user, admin)
	if end != nil {
		end(why)
	}
	return err
}

func (s *admission) enter(user string, admin bool) (end func(error), why, err error) {
	l := s.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.released { // it had to make room itself
		return nil, nil, errEvicted
	}
	victim, why, err := l.users.room(user, admin)
	if err != nil {
		return nil, nil, err
	}
	if victim != nil {
		end = victim.end
		victim.free()
	}
	s.settle()
	l.users.add(s, user, admin)
	return end, why, nil
}

// occupy notes that a command runs on the connection, until the function that it
// returns is called.
func (s *admission) occupy() (leave func()) {
	change := func(by int) {
		s.limits.mu.Lock()
		defer s.limits.mu.Unlock()
		s.running += by
		s.since = time.Now()
	}
	change(1)
	return func() { change(-1) }
}
