package adminport

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/users"
)

func (f *fixture) try(cfg *gossh.ClientConfig) error {
	client, err := gossh.Dial("tcp", f.addr, cfg)
	if err == nil {
		client.Close()
	}
	return err
}

func TestLogin(t *testing.T) {
	f := start(t, Config{PasswordHash: cheapHash("configured")})
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	weakSigner, err := gossh.NewSignerFromKey(weak)
	if err != nil {
		t.Fatal(err)
	}
	optional := newSigner(t)
	f.users.set(users.User{Name: "weak", Role: "viewer", Keys: []string{
		authorizedKey(weakSigner), `from="10.0.0.0/8" ` + authorizedKey(optional),
	}})
	with := func(user string, auth ...gossh.AuthMethod) *gossh.ClientConfig {
		cfg := f.password(user, "")
		cfg.Auth = auth
		return cfg
	}
	for _, tt := range []struct {
		name string
		cfg  *gossh.ClientConfig
		ok   bool
	}{
		{"password", f.password("admin", "secret"), true},
		{"of the configuration, replaced by a user", f.password("admin", "configured"), false},
		{"wrong password", f.password("admin", "guess"), false},
		{"empty password", f.password("admin", ""), false},
		{"long password", f.password("admin", strings.Repeat("x", 5000)), false},
		{"unknown user", f.password("root", "secret"), false},
		{"user without a password", f.password("viola", "secret"), false},
		{"key", with("viola", gossh.PublicKeys(f.viola)), true},
		{"key of another", with("admin", gossh.PublicKeys(f.viola)), false},
		{"unknown key", with("viola", gossh.PublicKeys(f.key)), false},
		{"weak RSA key", with("weak", gossh.PublicKeys(weakSigner)), false},
		{"key with an option", with("weak", gossh.PublicKeys(optional)), false},
		{"B7 many keys, then the password", with("admin", gossh.PublicKeys(
			newSigner(t), newSigner(t), newSigner(t), newSigner(t), newSigner(t), newSigner(t),
			newSigner(t), newSigner(t), newSigner(t), newSigner(t), newSigner(t), newSigner(t)),
			gossh.Password("secret")), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f.forgive()
			if err := f.try(tt.cfg); (err == nil) != tt.ok {
				t.Errorf("login: %v, want ok %v", err, tt.ok)
			}
		})
	}
	f.users.remove("admin")
	f.forgive()
	if err := f.try(f.password("admin", "configured")); err != nil {
		t.Errorf("the admin of the configuration: %v", err)
	}
}

// forgive takes back all penalties.
func (f *fixture) forgive() {
	f.srv.gate.limits.mu.Lock()
	defer f.srv.gate.limits.mu.Unlock()
	for _, src := range f.srv.gate.limits.sources {
		src.penalty, src.enforced = time.Time{}, false
	}
}

// A client tries a password as one user and then logs in as another. The
// server must know the one who proved himself, or, as OpenSSH does, refuse the
// change. gliderlabs: logged in as B with the identity of A.
func TestC1_change_of_user_name(t *testing.T) {
	f := start(t, Config{})
	begin := func() (try func(user, password string) error, c *conn) {
		client, server := net.Pipe()
		admission, err := f.srv.gate.limits.admit(server.RemoteAddr())
		if err != nil {
			t.Fatal(err)
		}
		c = f.srv.newConn(fakeTCP{server}, admission)
		t.Cleanup(func() { c.finish(); admission.release(); client.Close() })
		cfg := c.serverConfig()
		return func(user, password string) error {
			_, err := cfg.PasswordCallback(fakeMeta{user: user}, []byte(password))
			cfg.AuthLogCallback(fakeMeta{user: user}, "password", err)
			return err
		}, c
	}
	try, c := begin()
	for _, step := range []struct {
		user, password string
		want           error
	}{
		{"viewer", "wrong", errRefused},
		{"admin", "look", errNameChanged},
		{"admin", "secret", errNameChanged},
		{"viewer", "look", errNameChanged}, // once changed, lost
	} {
		if err := try(step.user, step.password); !errors.Is(err, step.want) {
			t.Errorf("%s/%s: %v, want %v", step.user, step.password, err, step.want)
		}
	}
	<-c.ctx.Done() // and the connection is closed
	if try, _ := begin(); try("viewer", "look") != nil {
		t.Error("viewer with his own password was refused")
	}
}

type fakeMeta struct {
	gossh.ConnMetadata
	user string
}

func (m fakeMeta) User() string { return m.user }

// fakeTCP has the address of a TCP connection.
type fakeTCP struct{ net.Conn }

func (fakeTCP) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1} }

// A client asks for the method none. gliderlabs lets it in when callbacks are
// set the way we set them.
func TestC2_none(t *testing.T) {
	f := start(t, Config{})
	for _, user := range []string{"admin", "viola", "root", ""} {
		cfg := f.password(user, "")
		cfg.Auth = nil
		if err := f.try(cfg); err == nil {
			t.Errorf("%q was let in without proof", user)
		}
	}
	if logins := f.audit.events(audit.EventLogin); len(logins) > 0 {
		t.Errorf("audit: %+v", logins)
	}
}

// A client offers a key of admin that it does not have and then logs in as
// itself. The key must not stick to the session.
func TestC3_key_offered_not_proved(t *testing.T) {
	f := start(t, Config{})
	f.users.set(users.User{
		Name: "both", Role: "viewer", Password: cheapHash("pw"), Keys: []string{authorizedKey(f.viola)},
	})
	cfg := f.password("both", "pw")
	cfg.Auth = []gossh.AuthMethod{gossh.PublicKeys(unsigned{f.viola}), gossh.Password("pw")}
	if err := f.try(cfg); err != nil {
		t.Fatal(err)
	}
	logins := f.audit.events(audit.EventLogin)
	if len(logins) != 1 || logins[0].Key != "" || logins[0].Reason != "password" {
		t.Errorf("audit: %+v", logins)
	}
}

// unsigned is a public key without its private half.
type unsigned struct{ gossh.Signer }

func (unsigned) Sign(io.Reader, []byte) (*gossh.Signature, error) {
	return nil, errors.New("no private key")
}

// Somebody tries password after password on one connection.
func TestB4_three_passwords(t *testing.T) {
	f := start(t, Config{})
	tries := 0
	cfg := f.password("admin", "")
	cfg.Auth = []gossh.AuthMethod{gossh.RetryableAuthMethod(gossh.PasswordCallback(func() (string, error) {
		tries++
		if tries > maxPasswords {
			return "secret", nil
		}
		return "wrong", nil
	}), 10)}
	if err := f.try(cfg); err == nil {
		t.Error("a fourth password was looked at")
	}
	if got := len(f.audit.events(audit.EventLogin)); got != 0 {
		t.Errorf("%d logins", got)
	}
	eventually(t, "a record for each password that was looked at, and one for the end", func() bool {
		return len(f.audit.events(audit.EventRefused)) == maxPasswords+1 // the client is told first
	})
}

// Somebody tries passwords on connection after connection. His address is closed
// out, the user is not.
func TestB4_penalties(t *testing.T) {
	f := start(t, Config{})
	for range 4 { // three and a little, as time forgives meanwhile
		if err := f.try(f.password("admin", "wrong")); err == nil {
			t.Fatal("logged in with a wrong password")
		}
	}
	if err := f.try(f.password("admin", "secret")); err == nil {
		t.Error("B4 the source was not refused after four failed logins")
	}
	if why, err := io.ReadAll(f.tcp()); string(why) != "too many failed logins from this source, try again later\r\n" {
		t.Errorf("the refused client reads %q, %v", why, err)
	}
	other := f.password("admin", "secret")
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: within}
	nc, err := dialer.Dial("tcp", f.addr)
	if err != nil {
		t.Skipf("a second loopback address is needed: %v", err)
	}
	defer nc.Close()
	conn, _, _, err := gossh.NewClientConn(nc, f.addr, other)
	if err != nil {
		t.Fatalf("another source: %v", err)
	}
	conn.Close()
}

// Somebody writes lines and escape sequences into the log by the name that he
// logs in with.
func TestB10_log_injection(t *testing.T) {
	f := start(t, Config{})
	_ = f.try(f.password("root\nFAKE \x1b[2J", "x"))
	cfg := f.password("viola", "")
	cfg.Auth = []gossh.AuthMethod{gossh.PublicKeys(f.viola)}
	if err := f.try(cfg); err != nil {
		t.Fatal(err)
	}
	ignore := cmpopts.IgnoreFields(audit.Record{}, "Time", "From")
	want := []audit.Record{
		{Event: audit.EventRefused, Via: "ssh", User: `"root\nFAKE \x1b[2J"`, Reason: "password: permission denied"},
		{Event: audit.EventLogin, Via: "ssh", User: "viola", Role: "operator", Key: gossh.FingerprintSHA256(f.viola.PublicKey()), Reason: "publickey"},
	}
	got := append(f.audit.events(audit.EventRefused)[:1], f.audit.events(audit.EventLogin)...)
	if diff := cmp.Diff(want, got, ignore); diff != "" {
		t.Errorf("B10 (-want +got):\n%s", diff)
	}
}

func TestQuoteName(t *testing.T) {
	for name, want := range map[string]string{
		"viola": "viola", "": "", "jürgen": "jürgen", "a b": "a b", `a"b`: `"a\"b"`,
		"a\nb": `"a\nb"`, "\x1b]0;x\a": `"\x1b]0;x\a"`, "\xff": `"\xff"`, "\u202e": `"\u202e"`,
		strings.Repeat("x", 300): `"` + strings.Repeat("x", 256) + `"…`,
	} {
		if got := audit.Quote(name); got != want {
			t.Errorf("audit.Quote(%q) = %s, want %s", name, got, want)
		}
	}
}
