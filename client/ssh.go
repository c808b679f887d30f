package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	defaultTimeout = 20 * time.Second
	agentTimeout   = 2 * time.Second
	maxPasswords   = 3 // as the server allows
	keepalive      = 15 * time.Second
	clientVersion  = "SSH-2.0-norestart"
)

// ErrLost says that a connection ended unexpectedly.
var ErrLost = errors.New("connection lost")

// ErrUnsent says that a connection ended before it got the command.
var ErrUnsent = fmt.Errorf("%w before the command was sent", ErrLost)

var errEnd = errors.New("end of input")

// LoginError says that the server refused a login. Trying again does not help.
type LoginError struct {
	Message string
	Hint    string // what to do; empty: the usual advice about ssh keys
}

func (e *LoginError) Error() string { return e.Message }

// SSH says how to log in over ssh.
type SSH struct {
	Target
	Identities []string      // files of private keys, offered first
	Agent      string        // socket of the agent; empty: none
	Home       string        // its .ssh has the usual keys; empty: none
	KnownHosts string        // file, see sshd(8)
	Person     *Person       // nil: nobody to ask
	Timeout    time.Duration // until logged in, without the time that the person takes; 0: 20 s
	Warn       func(format string, args ...any)

	asked  bool                           // the password was asked for in this login
	known  bool                           // the server's key was accepted in this login
	opened map[string]ssh.AlgorithmSigner // by file, keys whose passphrase was asked for in any login
}

// Dial connects and logs in. ctx ends only the attempt, not the connection.
func (s *SSH) Dial(ctx context.Context) (*Conn, error) {
	s.asked, s.known = false, false
	if s.opened == nil {
		s.opened = make(map[string]ssh.AlgorithmSigner)
	}
	limit := cmp.Or(s.Timeout, defaultTimeout)
	nc, err := (&net.Dialer{Timeout: limit}).DialContext(ctx, "tcp", s.Addr())
	if err != nil {
		return nil, cmp.Or(context.Cause(ctx), err)
	}
	c := newClock(limit, nc)
	defer c.stop()
	cut := context.AfterFunc(ctx, func() { _ = nc.Close() })
	first := &recorded{Conn: nc}
	conn, err := s.login(ctx, first, c)
	if !cut() && err == nil { // too late
		_ = conn.Close()
		return nil, context.Cause(ctx)
	}
	if err != nil {
		_ = nc.Close() // the error matters more
		return nil, s.explain(ctx, c, first, err)
	}
	return conn, nil
}

func (s *SSH) login(ctx context.Context, nc *recorded, c *clock) (*Conn, error) {
	id := &identities{files: s.Identities, agent: s.Agent, home: s.Home, person: s.Person, opened: s.opened, hold: c.hold, warn: s.warn}
	defer id.close()
	hosts := knownHosts{path: s.KnownHosts, person: s.Person, hold: c.hold}
	var refused error // our own reason; x/crypto/ssh passes on its text only
	conn, chans, reqs, err := ssh.NewClientConn(nc, s.Addr(), &ssh.ClientConfig{
		Config:            algorithms(),
		User:              s.User,
		Auth:              s.methods(ctx, id, c, nc, &refused),
		ClientVersion:     clientVersion,
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
		HostKeyCallback: func(addr string, remote net.Addr, key ssh.PublicKey) error {
			refused = hosts.check(ctx, addr, remote, key)
			s.known = refused == nil
			return refused
		},
	})
	if err != nil {
		return nil, cmp.Or(refused, err)
	}
	return newConn(ssh.NewClient(conn, chans, reqs)), nil
}

// algorithms are those that the server supports, its fastest ciphers first. If
// both sides prefer the same one, no further round is needed.
func algorithms() ssh.Config {
	return ssh.Config{
		KeyExchanges: []string{ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519},
		Ciphers:      []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM, ssh.CipherChaCha20Poly1305, ssh.CipherAES256CTR},
		MACs:         []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM},
	}
}

// methods returns the ways to log in, in order. It keeps an error of this side,
// such as Ctrl-C at a prompt, in refused. x/crypto/ssh tries the next way even
// when the server has gone: then the person is not asked.
func (s *SSH) methods(ctx context.Context, id *identities, c *clock, nc *recorded, refused *error) []ssh.AuthMethod {
	keys := ssh.PublicKeysCallback(func() ([]ssh.Signer, error) { return id.signers(ctx) })
	if s.Person == nil {
		return []ssh.AuthMethod{keys}
	}
	password := ssh.PasswordCallback(func() (secret string, err error) {
		if nc.hasEnded() {
			*refused = io.EOF
			return "", io.EOF
		}
		s.asked = true
		err = c.hold(func() error {
			secret, err = s.Person.Secret(ctx, fmt.Sprintf("%s@%s's password: ", s.User, s.Host))
			return err
		})
		if err != nil {
			*refused = err
		}
		return secret, err
	})
	return []ssh.AuthMethod{keys, ssh.RetryableAuthMethod(password, maxPasswords)}
}

// explain says why there was no login.
func (s *SSH) explain(ctx context.Context, c *clock, first *recorded, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case c.expired():
		return fmt.Errorf("%s: no login within %s", s.Addr(), cmp.Or(s.Timeout, defaultTimeout))
	case errors.As(err, new(*TrustError)), errors.Is(err, ErrInterrupted), errors.Is(err, errEnd):
		return err
	case strings.Contains(err.Error(), "unable to authenticate"): // x/crypto/ssh has no sentinel for it
		return &LoginError{Message: fmt.Sprintf("%s: login refused", s.Target)}
	case s.asked: // a retry without a person would be counted by the server
		return &LoginError{Message: fmt.Sprintf("%s: no login: the server did not wait", s.Target)}
	case s.known && broken(err): // the server may have shut this address out
		return fmt.Errorf("%s: %w in the login: %w", s.Addr(), ErrLost, err)
	}
	if line := first.line(); line != "" && !strings.HasPrefix(line, "SSH-") {
		return fmt.Errorf("%s: no login: the server says: %s", s.Addr(), line)
	}
	return fmt.Errorf("%s: %w", s.Addr(), err)
}

// broken reports whether err comes from the connection.
func broken(err error) bool {
	return errors.Is(err, io.EOF) || errors.As(err, new(*net.OpError))
}

func (s *SSH) warn(format string, args ...any) {
	if s.Warn != nil {
		s.Warn(format, args...)
	}
}

// Conn is an ssh connection after the login.
type Conn struct {
	client *ssh.Client

	done  chan struct{} // closed: no more keepalives
	ended chan struct{}
}

// newConn also watches the connection: a peer that leaves three keepalives
// unanswered is gone.
func newConn(client *ssh.Client) *Conn {
	c := &Conn{client: client, done: make(chan struct{}), ended: make(chan struct{})}
	go c.watch()
	return c
}

func (c *Conn) watch() {
	defer close(c.ended)
	tick := time.NewTicker(keepalive)
	defer tick.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-tick.C:
		}
		silent := time.AfterFunc(2*keepalive, func() { _ = c.client.Close() })
		_, _, err := c.client.SendRequest("keepalive@openssh.com", true, nil)
		silent.Stop()
		if err != nil {
			return
		}
	}
}

func (c *Conn) Close() error {
	close(c.done)
	err := c.client.Close()
	<-c.ended
	return err
}

// clock bounds a login. It is suspended while a person is asked.
type clock struct {
	limit time.Duration
	timer *time.Timer
	over  chan struct{}
}

func newClock(limit time.Duration, nc net.Conn) *clock {
	c := &clock{limit: limit, over: make(chan struct{})}
	c.timer = time.AfterFunc(limit, func() {
		close(c.over)
		_ = nc.Close()
	})
	return c
}

func (c *clock) stop() { c.timer.Stop() }

// hold runs ask while the clock stands still.
func (c *clock) hold(ask func() error) error {
	if c.timer.Stop() {
		defer c.timer.Reset(c.limit)
	}
	return ask()
}

func (c *clock) expired() bool {
	select {
	case <-c.over:
		return true
	default:
		return false
	}
}
