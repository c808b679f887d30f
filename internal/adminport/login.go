package adminport

import (
	"errors"
	"time"

	gliderssh "github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/internal/audit"
)

const (
	maxAuthTries = 20 // x/crypto counts refused key offers, too
	maxPasswords = 3  // per connection
	maxPassword  = 1024
	// farewell is how long a connection that is refused lives on, so that its
	// client reads why.
	farewell = 500 * time.Millisecond
)

var (
	errRefused     = errors.New("permission denied")
	errTries       = errors.New("too many wrong passwords")
	errNameChanged = errors.New("user name changed during login")
)

// loginState is the login of one connection. Its callbacks are called one after
// the other.
type loginState struct {
	conn      *conn
	named     bool
	name      string // the first user name; a change is refused, as OpenSSH does
	changed   bool
	passwords int // wrong ones
	proved    identity
}

// serverConfig returns the ssh configuration of one connection, with the present
// host key. It is made anew each time because gliderlabs, which has none of its
// handlers set, switches NoClientAuth on; NoClientAuthCallback takes that back.
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
	if c.admission.keyOnly {
		cfg.PasswordCallback = nil
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

func (l *loginState) remember(meta gossh.ConnMetadata) error {
	if !l.named {
		l.named, l.name = true, meta.User()
		l.conn.srv.gate.reloadUsers() // one stat: a user who was just added may log in
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
	if l.passwords >= maxPasswords { // not a person at a prompt
		l.conn.end(errTries)
		return nil, errTries
	}
	hash, err := l.conn.srv.gate.checkPassword(l.conn.ctx, l.conn.admission, l.name, password)
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
	return l.proved.permissions(), l.place()
}

// place takes a place after login, or tells the client that there is none.
func (l *loginState) place() error {
	err := l.conn.takePlace(l.name)
	if errors.Is(err, errFull) {
		l.conn.login.Reset(farewell)
		return &gossh.BannerError{Err: err, Message: err.Error() + ", try again later\r\n"}
	}
	return err
}

// offered says whether a key would be accepted. The client may not have the
// private key, so it changes nothing.
func (l *loginState) offered(meta gossh.ConnMetadata, key gossh.PublicKey) (*gossh.Permissions, error) {
	if err := l.remember(meta); err != nil {
		return nil, err
	}
	id, err := l.conn.srv.gate.identify(l.name, addrOf(l.conn), key)
	if err != nil {
		return nil, err
	}
	return id.permissions(), nil
}

// verified is called once the client has signed with the key. The key is judged
// again, because the offer may be old.
func (l *loginState) verified(meta gossh.ConnMetadata, _ gossh.PublicKey, perms *gossh.Permissions, _ string) (*gossh.Permissions, error) {
	id, ok := identityOf(perms)
	if !ok || id.name != meta.User() {
		return nil, errRefused
	}
	if _, ok := l.conn.srv.gate.still(id); !ok {
		return nil, errRefused
	}
	l.proved = id
	return perms, l.place()
}

func (l *loginState) log(meta gossh.ConnMetadata, method string, err error) {
	r := audit.Record{Via: "ssh", User: audit.Quote(meta.User()), From: l.conn.RemoteAddr().String()}
	switch {
	case errors.Is(err, errTries), method == "password" && l.conn.admission.keyOnly:
		return // the log has had enough of it
	case err == nil:
		l.conn.loggedIn()
		r.Event, r.Key, r.Reason = audit.EventLogin, l.proved.key, l.proved.reason(method)
	case errors.Is(err, errFull) || errors.Is(err, errEvicted):
		l.conn.blamed.Store(true) // it is not to blame
		r.Event, r.Reason = audit.EventRefused, method+": "+err.Error()
	case method == "password" && errors.Is(err, errRefused) || errors.Is(err, errNameChanged):
		r.Event, r.Reason = audit.EventRefused, method+": "+err.Error()
		if method == "password" {
			l.conn.srv.gate.wrongPassword(l.conn.admission, meta.User(), l.conn.RemoteAddr())
		}
		l.conn.blame(penaltyAuthFail)
	case l.conn.worthTelling(err):
		r.Event, r.Reason = audit.EventRefused, method+": "+err.Error()
	default:
		return // "none" and keys that do not fit are how clients try
	}
	_ = l.conn.srv.gate.audit(r) // a login without a record may not run admin commands
}

// newGlider returns the gliderlabs server behind the filter. Its logins and
// sessions are not used: it knows one kind of channel and no global request.
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
