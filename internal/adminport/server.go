package adminport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	gliderssh "github.com/gliderlabs/ssh"
	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/builtin"
	"github.com/norestart/norestart/internal/commandline"
	"github.com/norestart/norestart/internal/trim"
	"github.com/norestart/norestart/internal/users"
)

const (
	// lastWords is how long sessions may take to end when the server stops.
	lastWords   = 2 * time.Second
	lastWait    = time.Second
	revokeEvery = time.Second
	maxBackoff  = time.Second
	// trimAfter is how long there must have been no connection for a rush to be over.
	trimAfter = 10 * time.Second
)

// Server is the admin port, see [New].
type Server struct {
	cfg      Config
	host     Host
	registry *commandline.Registry
	glider   *gliderssh.Server
	gate     *gate
	intakes  *intakes
	history  histories

	connections sync.WaitGroup // goroutines of connections
	running     sync.WaitGroup // commands
	reading     sync.WaitGroup // the input of local callers
	active      atomic.Int32
	abandoned   atomic.Int32
	trimmer     trim.Trimmer // after a rush of connections

	mu       sync.Mutex // protects what follows; held for moments only
	conns    map[*conn]struct{}
	sessions map[*session]struct{}
	stopping bool
	outdated bool          // a newer process of the admin port has other commands
	empty    chan struct{} // 1 slot: a connection or a session has gone
}

// New returns a server that does not serve yet. It refuses commands that cannot
// be registered, an invalid password hash, and a host without keys or audit log.
func New(cfg Config, h Host) (*Server, error) {
	cfg = withDefaults(cfg)
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
	registry, err := commandline.NewRegistry(append(builtin.Commands(h.Version), sessionCommands(cfg.Commands)...), cfg.Commands...)
	if err != nil {
		return nil, fmt.Errorf("shell: %w", err)
	}
	h.TLS = strictTLS(h.TLS)
	if h.Log == nil {
		h.Log = func(string, ...any) {}
	}
	s := &Server{
		cfg: cfg, host: h, registry: registry, intakes: newIntakes(),
		gate:  newGate(cfg, h),
		conns: map[*conn]struct{}{}, sessions: map[*session]struct{}{},
		empty:   make(chan struct{}, 1),
		history: histories{dir: h.History, complain: h.Log},
	}
	s.glider = s.newGlider()
	return s, nil
}

// Serve accepts connections until draining is closed; then it closes ln and
// returns when the last session has ended by itself. When ctx ends it tells each
// session why, gives running commands a moment for their last output, closes all
// connections, and returns. The error is nil unless commands did not end and
// still run. Serve is called once.
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
			s.host.Log("close listener: %v", err)
		}
	})
	port.Go(func() { s.accept(accepting, ln) })
	loops.Go(func() { s.serveLocal(accepting) })
	serving, served := context.WithCancel(context.Background())
	var watch sync.WaitGroup
	watch.Go(func() { s.watchUsers(serving) })
	watch.Go(func() { s.gate.failed.keep(serving) })
	watch.Go(s.gate.writeClosed)
	defer s.trimmer.Stop()

	<-accepting.Done()
	port.Wait() // accepted connections count
	close(s.gate.closed)
	s.drain(ctx)
	err := s.stop(&loops)
	served()
	watch.Wait()
	s.gate.tellMore(true)
	return errors.Join(err, s.gate.limits.kept.close())
}

// accept takes connections until ctx ends. An error (most likely no free
// descriptor) backs off.
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
			return // closed in order to drain
		}
		if backoff == 0 || backoff == maxBackoff {
			s.host.Log("accept: %v", err)
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
	s.trimmer.After(trimAfter)
	admission, err := s.gate.limits.admit(nc.RemoteAddr())
	if err != nil {
		s.gate.tellClosed(nc.RemoteAddr(), err)
		turnAway(nc, err)
		return
	}
	quickAck(nc)
	c := s.newConn(nc, admission)
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

// turnAway closes a connection that may not come, and says why to whatever client
// it is. An ssh client skips the line (RFC 4253 §4.2), as that of sshd(8). The write
// never waits: a new socket has room for a line, and the accepting loop has others
// to serve.
func turnAway(nc net.Conn, why error) {
	onSocket(nc, func(fd int) { _, _ = unix.Write(fd, fmt.Appendf(nil, "%v, try again later\r\n", why)) })
	_ = nc.Close() // it was never used
}

// onSocket calls do with the descriptor of a connection; not [*net.TCPConn]: a
// worker's listener wraps it.
func onSocket(nc net.Conn, do func(fd int)) {
	inner, ok := nc.(syscall.Conn)
	if !ok {
		return
	}
	if raw, err := inner.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { do(int(fd)) }) // it has been closed: nothing is left to do
	}
}

func (s *Server) forget(c *conn) {
	c.admission.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	poke(s.empty)
}

func (c *conn) serve() {
	if err := c.admission.login(c.ctx); err != nil {
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
		why := cmp.Or(context.Cause(c.ctx), errClosed)
		if !errors.Is(why, errStopping) {
			c.blame(penaltyNoAuth)
		}
		c.srv.refuse(c, why)
	}
}

func (s *Server) refuse(c *conn, why error) {
	if c.refused.Swap(true) {
		return
	}
	s.gate.tellRefused(c.RemoteAddr(), string(c.proto), why)
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

// endSessions tells every session that the worker stops, and closes connections
// without a session.
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
