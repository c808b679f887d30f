package adminport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Penalties for connections that end without a login, with the names and numbers
// of sshd_config(5) PerSourcePenalties. They count against the source, never
// against a user name: that would let anybody lock a user out.
const (
	penaltyNoAuth   = time.Second      // no login, for any other reason
	penaltyAuthFail = 5 * time.Second  // a wrong password
	penaltyGrace    = 10 * time.Second // the login clock ran out
	penaltyMin      = 15 * time.Second // accumulated before it is enforced
	penaltyMax      = 10 * time.Minute
	maxSources      = 8192
	maxTried        = 4 // names that are kept of a source
)

var (
	errPenalty = errors.New("too many failed logins from this source")
	errFull    = errors.New("too many connections")
	errCrowd   = errors.New("too many connections from this source")
	errEvicted = errors.New("too many connections, most of them from this source")
)

// limits counts connections and failed logins by source.
type limits struct {
	max, perSource int
	kept           penalties
	complain       func(error)
	known          *knownAddresses // nil: none

	mu      sync.Mutex // protects what follows and every source
	total   int
	sources map[netip.Prefix]*source
	swept   time.Time
	crowd   map[*source][]*admission // before login, in order of arrival
	came    uint64                   // connections so far
	users   userLimits               // after login
}

// source is one address (IPv4) or network (IPv6 /64).
type source struct {
	key      netip.Prefix
	conns    int // all of them
	penalty  time.Time
	enforced bool
	told     time.Time // when a refusal was last logged
	failed   int       // wrong passwords since it was last forgiven
	tried    []string  // some of the names
	keyWay   time.Time // when the next key may be tried while it is blocked

	login chan struct{} // a token per connection that is logging in
	hash  chan struct{} // the token of the one password that is being checked
}

func newLimits(maxConns, perSource, perUser int) *limits {
	return &limits{
		max: maxConns, perSource: perSource, users: newUserLimits(maxConns, perUser),
		sources: map[netip.Prefix]*source{}, crowd: map[*source][]*admission{},
	}
}

func sourceOf(addr net.Addr) netip.Prefix { return prefixOf(addressOf(addr)) }

// addressOf is not valid for an address that is not TCP.
func addressOf(addr net.Addr) netip.Addr {
	if tcp, ok := addr.(interface{ AddrPort() netip.AddrPort }); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

func prefixOf(ip netip.Addr) netip.Prefix {
	ip = ip.Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits) // the zero Prefix is a source, too
	return p
}

// admit takes an admission for a new connection, or says why there is none. If
// all are taken, the source with most connections before login loses one, so that
// a few sources cannot keep out all others.
func (l *limits) admit(addr net.Addr) (*admission, error) {
	s, victim, err := l.place(addr)
	if victim != nil {
		victim(errEvicted)
	}
	return s, err
}

func (l *limits) place(addr net.Addr) (s *admission, victim func(error), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	src := l.source(sourceOf(addr))
	now := time.Now()
	blocked := src.enforced && now.Before(src.penalty)
	switch {
	case blocked && !l.keyWay(src, addressOf(addr), now):
		return nil, nil, errPenalty
	case len(l.crowd[src]) >= 4*l.perSource:
		return nil, nil, errCrowd
	case l.total >= l.max:
		if victim = l.evict(src); victim == nil {
			return nil, nil, errFull
		}
	}
	src.enforced = blocked
	l.total++
	src.conns++
	l.came++
	s = &admission{limits: l, src: src, pending: true, number: l.came, keyOnly: blocked}
	l.crowd[src] = append(l.crowd[src], s)
	return s, victim, nil
}

// evict takes the place of the oldest connection before login of the most crowded
// source, if that has more than src, and returns how to end it. Of sources with
// equally many, the connection that has waited longest goes: so many sources with
// one silent connection each do not shut out others. l.mu is held.
func (l *limits) evict(src *source) func(error) {
	var most []*admission
	for _, admissions := range l.crowd {
		if len(admissions) > len(most) || len(admissions) == len(most) && admissions[0].number < most[0].number {
			most = admissions
		}
	}
	if len(most) <= len(l.crowd[src]) {
		return nil
	}
	i := slices.IndexFunc(most, func(s *admission) bool { return s.end != nil })
	if i < 0 {
		return nil
	}
	end := most[i].end
	most[i].free()
	return end
}

// source finds or makes a source. l.mu is held.
func (l *limits) source(key netip.Prefix) *source {
	if src := l.sources[key]; src != nil {
		return src
	}
	l.makeRoom()
	src := &source{key: key, login: make(chan struct{}, l.perSource), hash: make(chan struct{}, 1)}
	l.sources[key] = src
	return src
}

// makeRoom bounds the table: sources without connections and penalties go and, if
// that is not enough, any one without a connection. It scans the table at most
// once a second, because strangers cause it.
func (l *limits) makeRoom() {
	if len(l.sources) < maxSources {
		return
	}
	now := time.Now()
	sweep := now.Sub(l.swept) >= time.Second
	if sweep {
		l.swept = now
	}
	for key, src := range l.sources {
		if src.conns > 0 || sweep && now.Before(src.penalty) {
			continue
		}
		delete(l.sources, key)
		if !sweep {
			return
		}
	}
	if sweep {
		l.makeRoom()
	}
}

// mayLog allows a line a minute for refusals of a source.
func (l *limits) mayLog(addr net.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	src := l.sources[sourceOf(addr)]
	if src == nil {
		return true
	}
	if !src.told.IsZero() && time.Since(src.told) < time.Minute {
		return false
	}
	src.told = time.Now()
	return true
}

// admission is one connection's place among the limits. Its methods may be called
// from any goroutine.
type admission struct {
	limits   *limits
	src      *source
	pending  bool // not logged in; protected by limits.mu
	turn     bool // holds a token of src.login; protected by limits.mu
	released bool
	end      func(why error) // ends the connection; protected by limits.mu
	number   uint64          // in order of arrival
	keyOnly  bool            // its source is blocked; it gets no further penalty

	// Protected by limits.mu, set at the login.
	user    string
	running int
	since   time.Time // when that changed
}

// evictBy sets how to end the connection when it must make room.
func (s *admission) evictBy(end func(why error)) {
	s.limits.mu.Lock()
	defer s.limits.mu.Unlock()
	s.end = end
}

func (s *admission) login(ctx context.Context) error {
	select {
	case s.src.login <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s.limits.mu.Lock()
	defer s.limits.mu.Unlock()
	if s.released { // it had to make room
		<-s.src.login // never blocks: the token is ours
		return errEvicted
	}
	s.turn = true
	return nil
}

func (s *admission) hadTurn() bool {
	s.limits.mu.Lock()
	defer s.limits.mu.Unlock()
	return s.turn || !s.pending
}

func (s *admission) settle() {
	if s.pending {
		s.pending = false
		crowd := s.limits.crowd
		crowd[s.src] = slices.DeleteFunc(crowd[s.src], func(other *admission) bool { return other == s })
		if len(crowd[s.src]) == 0 {
			delete(crowd, s.src)
		}
	}
	if s.turn {
		s.turn = false
		<-s.src.login // never blocks: the token is ours
	}
}

func (s *admission) tried(name string) {
	s.limits.mu.Lock()
	defer s.limits.mu.Unlock()
	s.src.failed++
	if len(s.src.tried) < maxTried && !slices.Contains(s.src.tried, name) {
		s.src.tried = append(slices.Clip(s.src.tried), name) // blocked has handed out the old slice
	}
}

// penalize adds p to the source, also for the processes after this one.
func (s *admission) penalize(p time.Duration) {
	if s.keyOnly {
		return
	}
	s.limits.keep(s.limits.penalize(s.src, p), false)
}

func (l *limits) penalize(src *source, p time.Duration) held {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if src.penalty.Before(now) {
		src.penalty, src.enforced = now, false
	}
	src.penalty = src.penalty.Add(p)
	if limit := now.Add(penaltyMax); src.penalty.After(limit) {
		src.penalty = limit
	}
	if src.penalty.Sub(now) >= penaltyMin {
		src.enforced = true
	}
	return src.held()
}

// held is the record of a source in the file. l.mu is held.
func (src *source) held() held {
	return held{source: src.key, until: src.penalty, enforced: src.enforced, failed: src.failed}
}

// keep writes the penalty. A source without an address stays in memory.
func (l *limits) keep(h held, forgiven bool) {
	if !h.source.IsValid() {
		return
	}
	if err := l.kept.put(h, forgiven); err != nil && l.complain != nil {
		l.complain(err)
	}
}

// resume reads the penalties of earlier processes from the file at path.
func (l *limits) resume(path string) error {
	if err := l.kept.open(path); err != nil {
		return err
	}
	all, err := l.kept.load(time.Now())
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range all {
		if src := l.source(h.source); h.until.After(src.penalty) {
			src.penalty, src.enforced, src.failed = h.until, h.enforced, h.failed
		}
	}
	return nil
}

func (s *admission) release() {
	s.limits.mu.Lock()
	defer s.limits.mu.Unlock()
	s.free()
}

func (s *admission) free() {
	if s.released {
		return
	}
	s.released = true
	s.settle()
	s.limits.users.remove(s)
	s.limits.total--
	s.src.conns--
}
