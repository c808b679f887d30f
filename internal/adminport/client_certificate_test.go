package adminport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/users"
)

// judging asks clients for a certificate and says of it what the fixture does.
func (f *fixture) judging(cfg *tls.Config) *tls.Config {
	f.verdict(nil)
	cfg.ClientAuth = tls.RequestClientCert
	cfg.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return nil
		}
		return *f.judge.Load()
	}
	return cfg
}

func (f *fixture) verdict(err error) { f.judge.Store(&err) }

// peer connects with a certificate.
func (f *fixture) peer(sheet *x509.Certificate) *tlsTerm {
	f.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	sheet.SerialNumber, sheet.NotAfter = big.NewInt(0x4711), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, sheet, sheet, key.Public(), key)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.tls(tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})
}

func named(user string, dns ...string) *x509.Certificate {
	return &x509.Certificate{Subject: pkix.Name{CommonName: user}, DNSNames: dns}
}

// A certificate stands for the user whom it names, and for nobody else: not for
// the one who logs in by password, not for another of its names.
func TestA7_certificate_is_the_user(t *testing.T) {
	f := start(t, Config{})
	for _, tt := range []struct {
		name  string
		sheet *x509.Certificate
		want  string // user; empty: refused
	}{
		{"common name", named("viewer"), "viewer"},
		{"common name, not the other", named("viewer", "admin"), "viewer"},
		{"the only DNS name", named("", "viola"), "viola"},
		{"two DNS names", named("", "viola", "admin"), ""},
		{"nobody", named("root"), ""},
		{"no name", named(""), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := f.peer(tt.sheet)
			if tt.want == "" {
				if rest := c.rest(); rest != "Permission denied.\n" {
					t.Errorf("%q", rest)
				}
				return
			}
			c.expect(tlsGreeting)
			c.send("whoami\nshut\nexit\n")
			if rest := c.rest(); !strings.HasPrefix(rest, tt.want+", role ") || !strings.Contains(rest, "denied: shut needs role admin") {
				t.Errorf("%q", rest)
			}
		})
	}
	login := f.audit.events(audit.EventLogin)
	if len(login) != 3 || login[0].User != "viewer" || login[0].Reason != "certificate: serial 4711" || !strings.HasPrefix(login[0].Key, "SHA256:") {
		t.Errorf("audit: %+v", login)
	}
	eventually(t, "three records of a refusal", func() bool { return len(f.audit.events(audit.EventRefused)) == 3 })
}

// One whose certificate is not good is not even asked for a password.
func TestA7_refused_before_any_prompt(t *testing.T) {
	f := start(t, Config{})
	f.verdict(errors.New("certificate: it is revoked"))
	c := f.peer(named("viewer"))
	c.sendAnyway("look\n")
	buf := make([]byte, 100)
	if n, err := c.r.Read(buf); err == nil {
		t.Errorf("%q was said", buf[:n])
	}
	eventually(t, "the record of why", func() bool { // the client is told first
		return slices.ContainsFunc(f.audit.events(audit.EventRefused), func(r audit.Record) bool { return strings.Contains(r.Reason, "it is revoked") })
	})
}

// sendAnyway sends to somebody who may have gone.
func (c *tlsTerm) sendAnyway(text string) { _, _ = c.conn.Write([]byte(text)) }

// A client is logged in by a certificate when it is revoked, or its user is
// removed.
func TestA8_revoked_while_logged_in(t *testing.T) {
	for name, change := range map[string]func(*fixture){
		"revoked": func(f *fixture) { f.verdict(errors.New("certificate: it is revoked")) },
		"removed": func(f *fixture) { f.users.remove("viewer") },
		"still there": func(f *fixture) { // by another password only
			f.users.set(users.User{Name: "viewer", Role: "viewer", Password: cheapHash("other")})
			f.verdict(errors.New("certificate: it is revoked"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, Config{})
			c := f.peer(named("viewer"))
			c.expect(tlsGreeting)
			change(f)
			why := "certificate: it is revoked"
			if name == "removed" {
				why = "the user was removed"
			}
			if got, want := c.rest(), "\n"+errRevoked.Error()+": "+why+"\n"; got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

// A configuration that nobody judges certificates by asks for none.
func TestStrictTLS(t *testing.T) {
	cfg := strictTLS(&tls.Config{
		ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS10,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil },
	})
	if cfg.ClientAuth != tls.NoClientCert || cfg.MinVersion != tls.VersionTLS13 || !cfg.SessionTicketsDisabled || cfg.GetConfigForClient != nil {
		t.Errorf("%+v", cfg)
	}
}
