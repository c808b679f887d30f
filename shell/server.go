package shell

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	gliderssh "github.com/gliderlabs/ssh"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/users"
)

const (
	// lastWords is how long sessions may take to end when the server stops.
	lastWords = 2 * time.Second
	// lastWait is how long Serve then waits for commands that do not end.
	lastWait = time.Second
	// revokeEvery is how often it is looked whether users are still there.
	revokeEvery = time.Second
	maxBackoff  = time.Second
)

// Server is the admin port. New makes one.
type Server struct {
	cfg      Config
	host     Host
	registry *commands.Registry
	glider   *gliderssh.Server
	limits   *limits
	history  histories
	attempts *attempts
	hashing  chan struct{} // a token per password that is being checked

	connections sync.WaitGroup // goroutines of connections
	running     sync.WaitGroup // commands
	reading     sync.WaitGroup // the input of local callers
	active      atomic.Int32   // commands that run
	abandoned   atomic.Int32   // those of them without a session
	rushes      atomic.Uint64  // connections so far, for tidy

	mu       sync.Mutex // protects what follows; held for moments only
	conns    map[*conn]struct{}
	sessions map[*session]struct{}
	stopping bool
	empty    chan struct{} // 1 slot: a connection or a session has gone
}

// New returns a server that does not serve yet. It refuses commands that
// cannot be registered, a password hash that is none, and a host without keys
// or audit log.
func New(cfg Config, h Host) (*Server, error) {
	cfg = cfg.withDefaults()
	switch {
	case h.HostKey == nil:
		return nil, errors.New("shell: no host key")
	case h.Control == nil:
		return nil, errors.New("shell: no control")
	case h.Audit == nil:
		return nil, errors.New("shell: no audit log")
	}
	if cfg.PasswordHash != "" {
		if err := users.CheckHash(cfg.PasswordHash); err != nil {
			return nil, fmt.Errorf("shell: password hash of user %s: %w", adminUser, err)
		}
	}
	registry, err := commands.NewRegistry(append(commands.Builtin(h.Version), builtin()...), cfg.Commands...)
	if err != nil {
		return nil, fmt.Errorf("shell: %w", err)
	}
	h.TLS = strictTLS(h.TLS)
	s := &Server{
		cfg: cfg, host: h, registry: registry,
		limits:  newLimits(cfg.MaxConnections, cfg.MaxPerSource),
		hashing: make(chan struct{}, min(2, runtime.NumCPU())),
		conns:   map[*conn]struct{}{}, sessions: map[*session]struct{}{},
		empty:   make(chan struct{}, 1),
		history: histories{dir: h.History, complain: h.Log},
	}
	s.attempts = newAttempts(h.AttemptsFile, s.logf)
	s.resumePenalties()
	s.glider = s.newGlider()
	return s, nil
}

func (s *Server) logf(format string, args ...any) {
	if s.host.Log != nil {
		s.host.Log(format, args...)
	}
}

// lookup finds a user. The admin of the configuration is there unless a user
// of that name is among the others.
func (s *Server) lookup(name string) (users.User, bool) {
	if s.host.Users != nil {
		if user, ok := s.host.Users.Lookup(name); ok {
			return user, true
		}
	}
	if name == adminUser && s.cfg.PasswordHash != "" {
		return users.User{Name: adminUser, Role: commands.Admin.String(), Password: s.cfg.PasswordHash}, true
	}
	return users.User{}, false
}

// Serve accepts connections until draining is closed; then it closes ln and
// returns when the last session has ended by itself. When ctx ends it tells
// each session why, gives running commands a moment for their last output,
// closes all connections, and returns. The error is nil unless commands did
// not end: they still run. Serve is called once.
func (s *Server) Serve(ctx context.Context, ln net.Listener, draining <-chan struct{}) error {
	accepting, refuse := context.WithCancel(ctx)
	defer refuse()
	var port, loops sync.WaitGroup
	port.Go(func() {
		select {
		case <-draining:
		case <-accepting.Done():
		}
		refuse()
		if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			s.logf("close listener: %v", err)
		}
	})
	port.Go(func() { s.accept(accepting, ln) })
	loops.Go(func() { s.serveLocal(accepting) })
	serving, served := context.WithCancel(context.Background())
	var watch sync.WaitGroup
	watch.Go(func() { s.watchUsers(serving) })
	watch.Go(func() { s.attempts.keep(serving) })
	watch.Go(func() { s.tidy(serving, debug.FreeOSMemory) })

	<-accepting.Done()
	port.Wait() // what was accepted counts
	s.drain(ctx)
	err := s.stop(&loops)
	served()
	watch.Wait()
	return errors.Join(err, s.limits.kept.close())
}

// resumePenalties takes over what is held against sources. Without the file the
// port is opened all the same: who broke it would have shut it.
func (s *Server) resumePenalties() {
	complain := func(err error) { s.logf("penalties of sources: %v", err) }
	var once sync.Once
	s.limits.complain = func(err error) { once.Do(func() { complain(err) }) }
	if s.host.PenaltiesFile == "" {
		return
	}
	if err := s.limits.resume(s.host.PenaltiesFile); err != nil {
		complain(err)
	}
}

// failedLogin counts a wrong password, for the operator who asks why a source is
// blocked and for the user whose name was used.
func (s *Server) failedLogin(c *conn, user string) {
	c.slot.tried(audit.Quote(user))
	if _, known := s.lookup(user); known { // strangers choose names without end
		s.attempts.failed(user, c.RemoteAddr().String())
	}
}

// accept takes connections until ctx ends. An error (out of descriptors, most
// likely) backs off.
func (s *Server) accept(ctx context.Context, ln net.Listener) {
	backoff := time.Duration(0)
	for {
		nc, err := ln.Accept()
		if err == nil {
			backoff = 0
			s.admit(nc)
			continue
		}
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return // whoever closes it drains
		}
		if backoff == 0 || backoff == maxBackoff {
			s.logf("accept: %v", err)
		}
		backoff = min(max(2*backoff, 5*time.Millisecond), maxBackoff)
		select {
		case <-time.After(backoff):
		case <-ctx.Done():
			return
		}
	}
}

// admit serves a new connection on a goroutine of its own, or closes it.
func (s *Server) admit(nc net.Conn) {
	s.rushes.Add(1)
	slot, err := s.limits.admit(nc.RemoteAddr())
	if err != nil {
		s.tellRefused(nc.RemoteAddr(), "", err)
		_ = nc.Close() // it was never used
		return
	}
	quickAck(nc)
	c := s.newConn(nc, slot)
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	s.connections.Go(func() {
		defer s.forget(c)
		defer c.finish()
		defer c.survive("connection")
		c.serve()
	})
}

func (s *Server) forget(c *conn) {
	c.slot.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	poke(s.empty)
}

// serve serves a connection from its first byte to its end.
func (c *conn) serve() {
	if err := c.slot.login(c.ctx); err != nil {
		c.srv.refuse(c, err)
		return
	}
	var err error
	c.proto, err = c.sniff()
	switch {
	case err != nil:
		c.srv.refuse(c, cmp.Or(context.Cause(c.ctx), err))
	case c.proto == protoTLS:
		c.serveTLS()
	default:
		c.srv.glider.HandleConn(c)
	}
	if c.beforeLogin.Load() {
		c.srv.refuse(c, cmp.Or(context.Cause(c.ctx), errClosed))
	}
}

// refuse records that a connection ended before a login.
func (s *Server) refuse(c *conn, why error) {
	if c.refused.Swap(true) {
		return
	}
	s.tellRefused(c.RemoteAddr(), string(c.proto), why)
}

// tellRefused writes a refusal to the audit log, once a minute for a source.
func (s *Server) tellRefused(addr net.Addr, via string, why error) {
	if !s.limits.mayLog(addr) {
		return
	}
	_ = s.audit(Record{Event: audit.EventRefused, Via: via, From: addr.String(), Reason: why.Error()}) // nobody is let in
}

// drain waits until the last connection and the last local call have ended, or
// ctx does.
func (s *Server) drain(ctx context.Context) {
	for {
		s.mu.Lock()
		n := len(s.conns) + len(s.sessions)
		s.mu.Unlock()
		if n == 0 {
			return
		}
		select {
		case <-s.empty:
		case <-ctx.Done():
			return
		}
	}
}

// stop ends what is left and waits for it.
func (s *Server) stop(loops *sync.WaitGroup) error {
	s.endSessions()
	limit, cancel := context.WithTimeout(context.Background(), lastWords)
	defer cancel()
	s.drain(limit)
	for _, c := range s.list() {
		c.end(errStopping)
	}
	ended := make(chan struct{})
	go func() {
		loops.Wait()
		s.connections.Wait()
		s.running.Wait()
		s.reading.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-time.After(lastWait):
		return fmt.Errorf("shell: %d commands did not end", s.active.Load())
	}
}

// endSessions tells every session that the worker stops, and closes the
// connections that have none.
func (s *Server) endSessions() {
	s.mu.Lock()
	s.stopping = true
	for sess := range s.sessions {
		sess.end(errStopping)
	}
	s.mu.Unlock()
	for _, c := range s.list() {
		if c.unused() {
			c.end(errStopping)
		}
	}
}

func (s *Server) list() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		list = append(list, c)
	}
	return list
}
