package shell

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Penalties for connections that end without a login, with the names and
// numbers of sshd_config(5) PerSourcePenalties. They are held against the
// source, never against a user name: that would be a remote off switch.
const (
	penaltyAuthFail = 5 * time.Second  // a wrong password
	penaltyGrace    = 10 * time.Second // the login clock ran out
	penaltyMin      = 15 * time.Second // accrued before it is enforced
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

// limits counts connections and holds failed logins against their sources.
type limits struct {
	max, perSource int
	kept           penalties // written without mu
	complain       func(error)

	mu      sync.Mutex // protects what follows and every source
	total   int
	sources map[netip.Prefix]*source
	swept   time.Time
	crowd   map[*source][]*slot // before login, in the order they came
}

// source is one address (IPv4) or network (IPv6 /64).
type source struct {
	key      netip.Prefix
	conns    int // all of them
	penalty  time.Time
	enforced bool
	told     time.Time // when a refusal was last logged
	failed   int       // wrong passwords since it was last forgiven
	tried    []string  // some of the names they were for

	login chan struct{} // a token per connection that is logging in
	hash  chan struct{} // a token for the one password that is being checked
}

func newLimits(maxConns, perSource int) *limits {
	return &limits{max: maxConns, perSource: perSource, sources: map[netip.Prefix]*source{}, crowd: map[*source][]*slot{}}
}

// sourceOf maps an address to what is counted as one source.
func sourceOf(addr net.Addr) netip.Prefix {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	return prefixOf(tcp.AddrPort().Addr())
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

// admit takes a slot for a new connection, or says why there is none. When all
// are taken, a connection that has not logged in makes room: of the source that
// has most of them, so that no few sources keep out all others.
func (l *limits) admit(addr net.Addr) (*slot, error) {
	s, victim, err := l.place(addr)
	if victim != nil {
		victim()
	}
	return s, err
}

func (l *limits) place(addr net.Addr) (s *slot, victim func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	src := l.source(sourceOf(addr))
	now := time.Now()
	switch {
	case src.enforced && now.Before(src.penalty):
		return nil, nil, errPenalty
	case len(l.crowd[src]) >= 4*l.perSource:
		return nil, nil, errCrowd
	case l.total >= l.max:
		if victim = l.evict(src); victim == nil {
			return nil, nil, errFull
		}
	}
	src.enforced = src.enforced && now.Before(src.penalty)
	l.total++
	src.conns++
	s = &slot{limits: l, src: src, pending: true}
	l.crowd[src] = append(l.crowd[src], s)
	return s, victim, nil
}

// evict takes the place of the oldest connection before login of the most
// crowded source, if that leaves it no fewer than src then has; it returns how to
// end that connection. l.mu is held.
func (l *limits) evict(src *source) func() {
	var most []*slot
	for _, slots := range l.crowd {
		if len(slots) > len(most) {
			most = slots
		}
	}
	if len(most) < len(l.crowd[src])+2 {
		return nil
	}
	i := slices.IndexFunc(most, func(s *slot) bool { return s.end != nil })
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

// makeRoom keeps the table bounded: sources that are gone and forgiven leave
// it, and when that is not enough, any one without a connection. It looks at
// the whole table at most once a second, for it is called by strangers.
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

// mayLog reports whether a refusal of this source is worth a line: one a
// minute is.
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

// slot is one connection's place among the limits. Its methods may be called
// from any goroutine.
type slot struct {
	limits   *limits
	src      *source
	pending  bool // not logged in; protected by limits.mu
	turn     bool // holds a token of src.login; protected by limits.mu
	released bool
	end      func() // ends the connection; protected by limits.mu
}

// evictBy says how to end the connection when it must make room.
func (s *slot) evictBy(end func()) {
	s.limits.mu.Lock()
	defer s.limits.mu.Unlock()
	s.end = end
}

// login waits for the connection's turn to log in.
func (s *slot) login(ctx context.Context) error {
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

// hadTurn reports whether the connection is or was logging in.
func (s *slot) hadTurn() bool {
	s.limits.mu.Lock()
	defer s.limits.mu.Unlock()
	return s.turn || !s.pending
}

// loggedIn gives the turn to the next connection of the source.
func (s *slot) loggedIn() {
	s.limits.mu.Lock()
	defer s.limits.mu.Unlock()
	s.settle()
}

func (s *slot) settle() {
	if s.pending {
		s.pending = false
		crowd := s.limits.crowd
		crowd[s.src] = slices.DeleteFunc(crowd[s.src], func(other *slot) bool { return other == s })
		if len(crowd[s.src]) == 0 {
			delete(crowd, s.src)
		}
	}
	if s.turn {
		s.turn = false
		<-s.src.login // never blocks: the token is ours
	}
}

// tried counts a wrong password for the operator who asks why a source is
// blocked.
func (s *slot) tried(name string) {
	s.limits.mu.Lock()
	defer s.limits.mu.Unlock()
	s.src.failed++
	if len(s.src.tried) < maxTried && !slices.Contains(s.src.tried, name) {
		s.src.tried = append(slices.Clip(s.src.tried), name) // blocked gives the old one away
	}
}

// penalize holds p against the source, also in whatever process comes after
// this one.
func (s *slot) penalize(p time.Duration) {
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

// held is what is written down of a source. l.mu is held.
func (src *source) held() held {
	return held{source: src.key, until: src.penalty, enforced: src.enforced, failed: src.failed}
}

// keep writes down what is held. A source that has no address is held by this
// process alone.
func (l *limits) keep(h held, forgiven bool) {
	if !h.source.IsValid() {
		return
	}
	if err := l.kept.put(h, forgiven); err != nil && l.complain != nil {
		l.complain(err)
	}
}

// resume takes over what processes before this one held, from the file at path.
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

// release gives the slot back when the connection is closed.
func (s *slot) release() {
	s.limits.mu.Lock()
	defer s.limits.mu.Unlock()
	s.free()
}

func (s *slot) free() {
	if s.released {
		return
	}
	s.released = true
	s.settle()
	s.limits.total--
	s.src.conns--
}
