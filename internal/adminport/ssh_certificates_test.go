package adminport

import (
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/users"
)

func (f *fakeUsers) CA() users.CA {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ca
}

// believe sets whose certificates are believed.
func (f *fakeUsers) believe(ca users.CA) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ca = ca
}

// withCA is a fixture whose users have a CA, and its signer.
func withCA(t *testing.T) (*fixture, gossh.Signer) {
	t.Helper()
	f, ca := start(t, Config{}), newSigner(t)
	f.users.believe(users.CA{Keys: []string{authorizedKey(ca) + " the CA"}})
	return f, ca
}

// certificate is a good one for viola's key, but for what change does.
func certificate(t *testing.T, ca, key gossh.Signer, change func(*gossh.Certificate)) gossh.Signer {
	t.Helper()
	now := uint64(time.Now().Unix())
	cert := &gossh.Certificate{
		Key: key.PublicKey(), Serial: 17, CertType: gossh.UserCert, KeyId: "viola's laptop",
		ValidPrincipals: []string{"viola"}, ValidAfter: now - 60, ValidBefore: now + 3600,
		Permissions: gossh.Permissions{Extensions: map[string]string{permitPty: ""}},
	}
	if change != nil {
		change(cert)
	}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	signer, err := gossh.NewCertSigner(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

type certificateCase struct {
	name   string
	user   string
	change func(*gossh.Certificate)
	ca     gossh.Signer
	key    gossh.Signer
	why    string // of the refusal; empty: logged in
}

func certificateCases(t *testing.T) []certificateCase {
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	weakSigner, err := gossh.NewSignerFromKey(weak)
	if err != nil {
		t.Fatal(err)
	}
	now := uint64(time.Now().Unix())
	option := func(name, value string) func(*gossh.Certificate) {
		return func(c *gossh.Certificate) { c.CriticalOptions = map[string]string{name: value} }
	}
	return []certificateCase{
		{name: "good"},
		{name: "one of several principals", change: func(c *gossh.Certificate) { c.ValidPrincipals = []string{"a", "viola"} }},
		{name: "for ever", change: func(c *gossh.Certificate) { c.ValidAfter, c.ValidBefore = 0, gossh.CertTimeInfinity }},
		{name: "from here", change: option(sourceAddress, "127.0.0.0/8,::1/128")},
		{name: "no principals", change: func(c *gossh.Certificate) { c.ValidPrincipals = nil }, why: "it names no principal"},
		{name: "no principals, for admin", user: "admin", change: func(c *gossh.Certificate) { c.ValidPrincipals = nil }, why: "it names no principal"},
		{name: "another's", user: "admin", why: "admin is not among its principals"},
		{name: "of a host", change: func(c *gossh.Certificate) { c.CertType = gossh.HostCert }, why: "not one of a user"},
		{name: "of another CA", ca: newSigner(t), why: "is not in [ssh_ca]"},
		{name: "expired", change: func(c *gossh.Certificate) { c.ValidBefore = now - 1 }, why: "expired"},
		{name: "not valid yet", change: func(c *gossh.Certificate) { c.ValidAfter = now + 600 }, why: "not valid yet"},
		{name: "from elsewhere", change: option(sourceAddress, "10.0.0.0/8"), why: "not good from 127.0.0.1"},
		{name: "from nowhere", change: option(sourceAddress, ""), why: "source-address"},
		{name: "from a broken list", change: option(sourceAddress, "127.0.0.1,nonsense"), why: "source-address"},
		{name: "unknown condition", change: option("verify-required", ""), why: "critical option verify-required is not known"},
		{name: "an empty command", change: option(forceCommand, ""), why: "force-command is empty"},
		{name: "without touch", change: func(c *gossh.Certificate) { c.Extensions[noTouchRequired] = "" }, why: "does not require touch"},
		{name: "revoked serial", change: func(c *gossh.Certificate) { c.Serial = 666 }, why: "serial 666: revoked"},
		{name: "revoked key id", change: func(c *gossh.Certificate) { c.KeyId = "lost" }, why: "lost, serial 17: revoked"},
		{name: "weak key", key: weakSigner, why: "an RSA key below 3072 bits"},
		{name: "of nobody here", user: "root", change: func(c *gossh.Certificate) { c.ValidPrincipals = []string{"root"} }, why: "-"}, // the last: it is told late
	}
}

// Somebody comes with a certificate that was not made for this: without
// principals (x/crypto lets that one in as anybody), for a host, of another CA,
// out of its time, from elsewhere, with a condition that we do not know, or
// revoked. Each must be refused; forced commands must hold.
func TestC6_certificates(t *testing.T) {
	f, ca := withCA(t)
	for _, tt := range certificateCases(t) {
		t.Run(tt.name, func(t *testing.T) {
			ca, key, user := ca, f.viola, "viola"
			if tt.ca != nil {
				ca = tt.ca
			}
			if tt.key != nil {
				key = tt.key
			}
			if tt.user != "" {
				user = tt.user
			}
			f.users.believe(users.CA{
				Keys: f.users.CA().Keys, RevokedSerials: []uint64{666}, RevokedIDs: []string{"lost"},
			})
			f.forgive()
			f.srv.gate.limits.forgetTold()
			before := len(f.audit.events(audit.EventRefused))
			err := f.try(f.withKey(user, certificate(t, ca, key, tt.change)))
			if (err == nil) != (tt.why == "") {
				t.Errorf("login: %v", err)
			}
			refused := f.audit.events(audit.EventRefused)[before:]
			if tt.why != "" && tt.why != "-" && (len(refused) == 0 || !strings.Contains(refused[0].Reason, tt.why)) {
				t.Errorf("audit: %+v, want %q", refused, tt.why)
			}
		})
	}
	for _, r := range f.audit.events(audit.EventLogin) {
		if !strings.Contains(r.Reason, `publickey: certificate viola's laptop, serial 17, CA SHA256:`) ||
			r.Key != gossh.FingerprintSHA256(f.viola.PublicKey()) {
			t.Errorf("audit: %+v", r)
		}
	}
}

// forgetTold lets each refusal be told again.
func (l *limits) forgetTold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, src := range l.sources {
		src.told = time.Time{}
	}
}

// A certificate whose signature is broken, or made with SHA-1, names our CA.
func TestC6_signature(t *testing.T) {
	f, _ := withCA(t)
	key, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := gossh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	f.users.believe(users.CA{Keys: []string{authorizedKey(ca)}})
	if err := f.try(f.withKey("viola", certificate(t, ca, f.viola, nil))); err != nil {
		t.Errorf("of an RSA CA: %v", err)
	}
	sha1, err := gossh.NewSignerWithAlgorithms(ca.(gossh.AlgorithmSigner), []string{gossh.KeyAlgoRSA})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.try(f.withKey("viola", certificate(t, sha1, f.viola, nil))); err == nil {
		t.Error("signed with SHA-1: logged in")
	}
	f.forgive()
	signer := certificate(t, ca, f.viola, nil)
	signer.PublicKey().(*gossh.Certificate).Serial++ // after it was signed
	if err := f.try(f.withKey("viola", signer)); err == nil {
		t.Error("changed after it was signed: logged in")
	}
}

// The CA's own key is no way in, nor is one that is listed among the users'
// keys a CA.
func TestC6_CA_is_no_key(t *testing.T) {
	f, ca := withCA(t)
	if err := f.try(f.withKey("viola", ca)); err == nil {
		t.Error("logged in by the key of the CA")
	}
	f.forgive()
	if err := f.try(f.withKey("viola", certificate(t, f.viola, newSigner(t), nil))); err == nil {
		t.Error("logged in by a certificate that a user signed")
	}
}

// A certificate with force-command runs that, one without permit-pty has no
// terminal.
func TestC6_rights(t *testing.T) {
	f, ca := withCA(t)
	signer := certificate(t, ca, f.viola, func(c *gossh.Certificate) {
		c.CriticalOptions = map[string]string{forceCommand: "foo 1"}
		c.Extensions = nil
	})
	client := f.dial(f.withKey("viola", signer))
	for _, command := range []string{"boom", ""} {
		got := f.session(client, command, "", nil)
		if diff := cmp.Diff(result{Out: "foo\n1\n"}, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", command, diff)
		}
	}
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.RequestPty("xterm", 24, 80, gossh.TerminalModes{}) == nil {
		t.Error("a terminal without permit-pty")
	}
}

// Somebody stays logged in by a certificate that is revoked, expires or whose
// CA is taken out.
func TestC6_ends_sessions(t *testing.T) {
	for name, change := range map[string]func(users.CA) users.CA{
		"revoked":  func(ca users.CA) users.CA { ca.RevokedSerials = []uint64{17}; return ca },
		"CA taken": func(users.CA) users.CA { return users.CA{} },
		"expired":  nil,
	} {
		t.Run(name, func(t *testing.T) {
			f, ca := withCA(t)
			client := f.dial(f.withKey("viola", certificate(t, ca, f.viola, func(c *gossh.Certificate) {
				if change == nil {
					c.ValidBefore = uint64(time.Now().Unix()) + 3
				}
			})))
			done := make(chan result, 1)
			go func() { done <- f.session(client, "wait", "", nil) }()
			wait(t, "the command", f.started)
			if change != nil {
				f.users.believe(change(f.users.CA()))
			}
			if got := wait(t, "the end", done); !strings.Contains(got.Err, errRevoked.Error()) {
				t.Errorf("%+v", got)
			}
		})
	}
}
