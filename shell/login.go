package shell

import (
	"context"
	"errors"
	"fmt"
	"time"

	gliderssh "github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/users"
)

const (
	maxAuthTries = 20 // x/crypto counts refused key offers, too
	maxPasswords = 3  // per connection
	maxPassword  = 1024
	// farewell is how long a connection that may not try again lives on, so
	// that its client reads why.
	farewell = 500 * time.Millisecond
)

var (
	errRefused     = errors.New("permission denied")
	errTries       = errors.New("too many wrong passwords")
	errNameChanged = errors.New("user name changed during login")
)

// loginState is one connection's way to its identity. All callbacks of one
// connection are called one after the other.
type loginState struct {
	conn      *conn
	named     bool
	name      string // the first user name; a change is refused, as OpenSSH does
	changed   bool
	passwords int // wrong ones
	blamed    bool
	proved    identity
}

// serverConfig returns the ssh configuration of one connection, with the host
// key of this moment. It is fresh each time: gliderlabs switches NoClientAuth
// on, because none of its own handlers is set; NoClientAuthCallback takes
// that back.
func (c *conn) serverConfig() *gossh.ServerConfig {
	l := &loginState{conn: c}
	cfg := &gossh.ServerConfig{
		Config: gossh.Config{
			KeyExchanges: []string{gossh.KeyExchangeMLKEM768X25519, gossh.KeyExchangeCurve25519},
			Ciphers: []string{
				gossh.CipherChaCha20Poly1305, gossh.CipherAES256GCM,
				gossh.CipherAES128GCM, gossh.CipherAES256CTR,
			},
			MACs: []string{gossh.HMACSHA256ETM, gossh.HMACSHA512ETM},
		},
		PublicKeyAuthAlgorithms: []string{
			gossh.KeyAlgoED25519, gossh.KeyAlgoSKED25519, gossh.KeyAlgoSKECDSA256,
			gossh.KeyAlgoECDSA256, gossh.KeyAlgoECDSA384, gossh.KeyAlgoECDSA521,
			gossh.KeyAlgoRSASHA256, gossh.KeyAlgoRSASHA512,
		},
		ServerVersion:             "SSH-2.0-norestart",
		MaxAuthTries:              maxAuthTries,
		NoClientAuthCallback:      l.none,
		PasswordCallback:          l.password,
		PublicKeyCallback:         l.offered,
		VerifiedPublicKeyCallback: l.verified,
		AuthLogCallback:           l.log,
	}
	cfg.AddHostKey(c.srv.host.HostKey())
	return cfg
}

func (l *loginState) none(meta gossh.ConnMetadata) (*gossh.Permissions, error) {
	if err := l.remember(meta); err != nil {
		return nil, err
	}
	return nil, gossh.ErrNoAuth
}

// remember holds a connection to the user name that it began with.
func (l *loginState) remember(meta gossh.ConnMetadata) error {
	if !l.named {
		l.named, l.name = true, meta.User()
		l.conn.srv.reloadUsers() // one stat: who was just added may come in
	}
	if l.changed || meta.User() != l.name {
		l.changed = true
		l.conn.login.Reset(farewell)
		return errNameChanged
	}
	return nil
}

func (l *loginState) password(meta gossh.ConnMetadata, password []byte) (*gossh.Permissions, error) {
	if err := l.remember(meta); err != nil {
		return nil, err
	}
	if l.passwords >= maxPasswords { // who goes on is no person at a prompt
		l.conn.end(errTries)
		return nil, errTries
	}
	hash, err := l.conn.checkPassword(l.name, password)
	if err != nil {
		return nil, err
	}
	if hash == "" {
		l.passwords++
		if l.passwords == maxPasswords {
			l.conn.login.Reset(farewell)
		}
		return nil, errRefused
	}
	l.proved = identity{name: l.name, hash: hash}
	return l.proved.permissions(), nil
}

// offered says whether a key would do. It may be called for a key that the
// client cannot prove to have, so it changes nothing.
func (l *loginState) offered(meta gossh.ConnMetadata, key gossh.PublicKey) (*gossh.Permissions, error) {
	if err := l.remember(meta); err != nil {
		return nil, err
	}
	id, err := l.conn.srv.identify(l.name, addrOf(l.conn), key)
	if err != nil {
		return nil, err
	}
	return id.permissions(), nil
}

// verified is called once the client has signed with the key. What the key may
// is looked at again: it may have been offered a while ago.
func (l *loginState) verified(meta gossh.ConnMetadata, _ gossh.PublicKey, perms *gossh.Permissions, _ string) (*gossh.Permissions, error) {
	id, ok := identityOf(perms)
	if !ok || id.name != meta.User() {
		return nil, errRefused
	}
	if _, ok := l.conn.srv.still(id); !ok {
		return nil, errRefused
	}
	l.proved = id
	return perms, nil
}

func (l *loginState) log(meta gossh.ConnMetadata, method string, err error) {
	r := Record{Via: "ssh", User: audit.Quote(meta.User()), From: l.conn.RemoteAddr().String()}
	switch {
	case errors.Is(err, errTries):
		return // the log has had enough of it
	case err == nil:
		l.conn.loggedIn()
		r.Event, r.Key, r.Reason = audit.EventLogin, l.proved.key, l.proved.reason(method)
	case method == "password" || errors.Is(err, errNameChanged):
		r.Event, r.Reason = audit.EventRefused, method+": "+err.Error()
		if method == "password" {
			l.conn.srv.failedLogin(l.conn, meta.User())
		}
		if !l.blamed { // once a connection, as OpenSSH counts
			l.blamed = true
			l.conn.slot.penalize(penaltyAuthFail)
		}
	case l.conn.worthTelling(err):
		r.Event, r.Reason = audit.EventRefused, method+": "+err.Error()
	default:
		return // "none" and keys that do not fit are how clients feel their way
	}
	_ = l.conn.srv.audit(r) // said in the log; a login without a record may not run admin commands
}

// checkPassword returns the user's hash if password is the one that it was made
// of, and nothing if it is not. A hash of the same cost
// is computed whether or not there is such a user and whether or not he has a
// password, so that the time tells nothing; one at a time for each source,
// and few at a time for all, because each takes 19 MiB.
func (c *conn) checkPassword(name string, password []byte) (string, error) {
	user, known := c.srv.lookup(name)
	hash := user.Password
	if !known || hash == "" {
		hash, known = users.DummyHash(), false
	}
	if len(password) > maxPassword {
		password, known = password[:maxPassword], false
	}
	free, err := c.hashTurn(c.ctx)
	if err != nil {
		return "", fmt.Errorf("wait to check a password: %w", err)
	}
	defer free()
	ok, err := users.Verify(hash, string(password))
	if err != nil {
		c.srv.logf("password of %s: %v", audit.Quote(name), err)
		return "", nil
	}
	if !ok || !known {
		return "", nil
	}
	return hash, nil
}

// hashTurn waits until this source and this process may compute a hash.
func (c *conn) hashTurn(ctx context.Context) (free func(), err error) {
	mine, all := c.slot.src.hash, c.srv.hashing
	if err := enterGate(ctx, mine); err != nil {
		return nil, err
	}
	if err := enterGate(ctx, all); err != nil {
		<-mine
		return nil, err
	}
	return func() { <-all; <-mine }, nil
}

func enterGate(ctx context.Context, gate chan<- struct{}) error {
	select {
	case gate <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// newGlider returns the gliderlabs server behind the filter: nothing of its
// login and of its sessions is used, it knows one kind of channel and no global
// request.
func (s *Server) newGlider() *gliderssh.Server {
	g := &gliderssh.Server{
		ChannelHandlers: map[string]gliderssh.ChannelHandler{"session": s.openChannel},
		RequestHandlers: map[string]gliderssh.RequestHandler{},
		ServerConfigCallback: func(ctx gliderssh.Context) *gossh.ServerConfig {
			return ctx.Value(connKey{}).(*conn).serverConfig()
		},
	}
	// nc is what we gave to HandleConn.
	g.ConnCallback = func(ctx gliderssh.Context, nc netConn) netConn {
		ctx.SetValue(connKey{}, nc.(*conn))
		return nc
	}
	return g
}
