package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/norestart/norestart/internal/durable"
)

func newCA(t *testing.T) (*Authority, string) {
	t.Helper()
	dir := t.TempDir()
	ca, err := CreateCA(dir, "shop")
	if err != nil {
		t.Fatal(err)
	}
	return ca, dir
}

// pairOf is an issued pair as a client has it.
func pairOf(t *testing.T, p Pair, err error) tls.Certificate {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// sign makes a certificate that no command of ours would make.
func (a *Authority) sign(t *testing.T, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	sheet := &x509.Certificate{
		SerialNumber: big.NewInt(4711), Subject: pkix.Name{CommonName: "viola"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	change(sheet)
	der, err := x509.CreateCertificate(rand.Reader, sheet, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// A client comes without a certificate, with one of another CA, out of its time,
// made for servers, revoked. But for the first, who is asked for a password, each
// must be refused in the handshake, before anything is asked.
func TestA7_client_certificates(t *testing.T) {
	ca, dir := newCA(t)
	other, _ := newCA(t)
	cfg, leaf := serverTLS(t, dir, "localhost")
	if leaf.CheckSignatureFrom(ca.Certificate()) != nil {
		t.Error("the server's certificate is not from its CA")
	}
	good, err := ca.IssueClient("viola", time.Hour)
	lost, lostErr := ca.IssueClient("viola", time.Hour)
	foreign, foreignErr := other.IssueClient("viola", time.Hour)
	if _, err := Revoke(dir, lost.Serial, ""); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		cert *tls.Certificate
		want string
	}{
		{"none", nil, ""},
		{"good", ptr(pairOf(t, good, err)), ""},
		{"revoked", ptr(pairOf(t, lost, lostErr)), "is revoked"},
		{"of another CA", ptr(pairOf(t, foreign, foreignErr)), "unknown authority"},
		{"expired", ptr(ca.sign(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })), "expired"},
		{"not valid yet", ptr(ca.sign(t, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })), "not yet valid"},
		{"for servers", ptr(ca.sign(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })), "not for clients"},
		{"for nothing", ptr(ca.sign(t, func(c *x509.Certificate) { c.ExtKeyUsage = nil })), "not for clients"},
		{"for anything", ptr(ca.sign(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} })), "not for clients"},
		{"of a CA", ptr(ca.sign(t, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true })), "of a CA"},
		{"the CA's own", &tls.Certificate{Certificate: [][]byte{ca.cert.Raw}, PrivateKey: ca.key}, "of a CA"},
		{"the server's own", shown(t, cfg), "not for clients"},
	} {
		var judged error
		watched := cfg.Clone()
		watched.VerifyConnection = func(s tls.ConnectionState) error {
			judged = cfg.VerifyConnection(s)
			return judged
		}
		client := &tls.Config{InsecureSkipVerify: true}
		if test.cert != nil {
			client.Certificates = []tls.Certificate{*test.cert}
		}
		if err := handshake(t, watched, client); err != nil && test.want == "" {
			t.Errorf("%s: %v", test.name, err)
		}
		if (judged == nil) != (test.want == "") || judged != nil && !strings.Contains(judged.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, judged, test.want)
		}
	}
}

func ptr[T any](v T) *T { return &v }

// stateOf is a connection with that certificate.
func stateOf(t *testing.T, cert tls.Certificate) tls.ConnectionState {
	t.Helper()
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
}

// A client was let in and is still there, or comes back, when its certificate
// is revoked, its CA is taken away or what was revoked is forgotten. Tickets
// would let it in again without being looked at.
func TestA8_revoked_while_connected(t *testing.T) {
	ca, dir := newCA(t)
	cfg, _ := serverTLS(t, dir)
	if !cfg.SessionTicketsDisabled || cfg.ClientCAs != nil {
		t.Error("session tickets, or a pool that is changed in place (CVE-2025-68121)")
	}
	pair, err := ca.IssueClient("viola", time.Hour)
	state := stateOf(t, pairOf(t, pair, err))
	judge := func(want string) {
		t.Helper()
		if err := cfg.VerifyConnection(state); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	judge("")
	path := filepath.Join(dir, ledgerFile)
	aside := func(file string) (back func()) {
		t.Helper()
		if err := os.Rename(file, file+".aside"); err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := os.Rename(file+".aside", file); err != nil {
				t.Fatal(err)
			}
		}
	}
	back := aside(path)
	judge("is missing and its CA is there")
	back()
	judge("")
	back = aside(filepath.Join(dir, caCertFile))
	judge("there is no CA here")
	back()
	if err := os.WriteFile(path+".broken", []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	back = aside(path)
	if err := os.Rename(path+".broken", path); err != nil {
		t.Fatal(err)
	}
	judge("until then no client's certificate is accepted")
	back()
	judge("")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	judge("mode 0644")
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if marked, err := Revoke(dir, "", "viola"); err != nil || len(marked) != 1 {
		t.Errorf("revoked %v, %v", marked, err)
	}
	judge("is revoked")
}

func TestRevoke(t *testing.T) {
	ca, dir := newCA(t)
	pair, err := ca.IssueClient("viola", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Revoke(dir, "4711", ""); !errors.Is(err, ErrUnknownSerial) {
		t.Errorf("an unknown serial: %v", err)
	}
	if _, err := Revoke(dir, "", "nobody"); !errors.Is(err, ErrUnknownSerial) {
		t.Errorf("an unknown user: %v", err)
	}
	for _, serial := range []string{"x", "-", ":"} {
		if _, err := Revoke(dir, serial, ""); err == nil {
			t.Errorf("%q was revoked", serial)
		}
	}
	spelt := strings.ToUpper(pair.Serial)
	if marked, err := Revoke(dir, "00:"+spelt, ""); err != nil || len(marked) != 1 {
		t.Errorf("as openssl writes it: %v, %v", marked, err)
	}
	if marked, err := Revoke(dir, pair.Serial, ""); err != nil || len(marked) != 0 {
		t.Errorf("again: %v, %v", marked, err)
	}
	foreign := t.TempDir()
	if marked, err := Revoke(foreign, "4711", ""); err != nil || len(marked) != 1 {
		t.Errorf("of somebody else's CA: %v, %v", marked, err)
	}
	if list, err := List(foreign); err != nil || len(list) != 1 || list[0].Revoked.IsZero() {
		t.Errorf("%v, %v", list, err)
	}
}

func TestCAIsMadeOnce(t *testing.T) {
	ca, dir := newCA(t)
	wantMode(t, filepath.Join(dir, caKeyFile), 0o600)
	wantMode(t, filepath.Join(dir, ledgerFile), 0o600)
	wantMode(t, filepath.Join(dir, caCertFile), 0o644)
	if _, err := CreateCA(dir, "shop"); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("a second: %v", err)
	}
	if again, err := OpenCA(dir); err != nil || !again.cert.Equal(ca.cert) {
		t.Errorf("%v", err)
	}
	if _, err := OpenCA(t.TempDir()); !errors.Is(err, ErrNoCA) {
		t.Errorf("none: %v", err)
	}
	_, other := newCA(t)
	key, err := os.ReadFile(filepath.Join(other, caKeyFile))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, caKeyFile), key, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCA(dir); err == nil || !strings.Contains(err.Error(), "does not belong to") {
		t.Errorf("another's key: %v", err)
	}
}

// In the bubble's time the certificate comes of age while it is in use.
func TestServerTLSRenewsInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, dir := range []string{t.TempDir(), func() string { _, dir := newCA(t); return dir }()} {
			cfg, first := serverTLS(t, dir)
			time.Sleep(lifetime - renewAt - time.Minute)
			if leaf, err := Leaf(cfg); err != nil || !leaf.Equal(first) {
				t.Errorf("renewed too early: %v", err)
			}
			time.Sleep(2 * time.Minute)
			next, err := Leaf(cfg)
			if err != nil || next.Equal(first) || TLSFingerprint(next) != TLSFingerprint(first) {
				t.Errorf("not renewed with the same key: %v", err)
			}
		}
	})
}

// A CA that is made while the server runs signs its certificate at once, and
// the key stays.
func TestServerTLSTakesNewCA(t *testing.T) {
	dir := t.TempDir()
	cfg, first := serverTLS(t, dir)
	ca, err := CreateCA(dir, "shop")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := Leaf(cfg)
	if err != nil || leaf.CheckSignatureFrom(ca.cert) != nil || TLSFingerprint(leaf) != TLSFingerprint(first) {
		t.Errorf("%v", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	if err := handshake(t, cfg, &tls.Config{RootCAs: roots, ServerName: "localhost"}); err != nil {
		t.Error(err)
	}
}

// One's own files are read again when they change; what cannot be used does
// not take the place of what can.
func TestOwnFiles(t *testing.T) {
	ca, dir := newCA(t)
	write := func(pair Pair, err error) {
		t.Helper()
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, "my.crt"), pair.Cert, 0o644),
			os.WriteFile(filepath.Join(dir, "my.key"), pair.Key, 0o600))
		if err != nil {
			t.Fatal(err)
		}
	}
	first, err := ca.IssueClient("a", time.Hour)
	write(first, err)
	logs := 0
	server := Server{
		Dir: dir, CertFile: filepath.Join(dir, "my.crt"), KeyFile: filepath.Join(dir, "my.key"),
		Log: func(string, ...any) { logs++ },
	}
	cfg, err := server.Config()
	if err != nil {
		t.Fatal(err)
	}
	serial := func() string {
		t.Helper()
		leaf, err := Leaf(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return serialText(leaf.SerialNumber)
	}
	if serial() != first.Serial {
		t.Error("not the one in the file")
	}
	second, err := ca.IssueClient("b", time.Hour)
	write(second, err)
	if serial() != second.Serial {
		t.Error("not read again")
	}
	write(Pair{Cert: []byte("rubbish"), Key: first.Key}, nil)
	for range 3 {
		if serial() != second.Serial || logs != 1 {
			t.Errorf("rubbish was taken, or told %d times", logs)
		}
	}
	if err := os.Chmod(server.KeyFile, 0o644); err != nil {
		t.Fatal(err)
	}
	if serial() != second.Serial || logs != 2 {
		t.Errorf("a key that others can read was taken, or told %d times", logs)
	}
	if _, err := server.Config(); err == nil {
		t.Error("a start with rubbish")
	}
	server.KeyFile = ""
	if _, err := server.Config(); err == nil || !strings.Contains(err.Error(), "name both files") {
		t.Errorf("half a pair: %v", err)
	}
}

func FuzzParseLedger(f *testing.F) {
	f.Add(emptyLedger)
	f.Add([]byte(`{"version":1,"certificates":[{"serial":"4f","user":"viola","made":"2026-01-01T00:00:00Z","revoked":"2026-01-02T00:00:00Z"}]}`))
	f.Add([]byte(`{"version":1,"certificates":[{"serial":"-4f"}]}{`))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := parseLedger("x", data)
		for _, c := range l.Certificates {
			if err != nil || c.Serial == "" || c.Serial != strings.ToLower(c.Serial) {
				t.Errorf("%q: %v", c.Serial, err)
			}
		}
	})
}

// Somebody on the machine reads a key, or writes one or the list of what is
// revoked, because its mode lets him. Such a file is not used.
func TestG5_file_modes(t *testing.T) {
	_, dir := newCA(t)
	key, crt := filepath.Join(dir, caKeyFile), filepath.Join(dir, caCertFile)
	own := Server{Dir: t.TempDir(), KeyFile: key, CertFile: crt}
	for path, load := range map[string]func() error{
		filepath.Join(dir, ledgerFile): func() error { _, err := List(dir); return err },
		key:                            func() error { _, err := OpenCA(dir); return err },
		key + " as one's own":          func() error { _, err := own.Config(); return err },
	} {
		path = strings.TrimSuffix(path, " as one's own")
		for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o602} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			if err := load(); !errors.Is(err, durable.ErrMode) {
				t.Errorf("%s, mode %04o: %v", path, mode, err)
			}
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := load(); err != nil {
			t.Errorf("%s, mode 0600: %v", path, err)
		}
	}
}

// A fault is looked at again although no file seems to be another: what was
// short for a moment, such as descriptors, is not a reason for ever.
func TestFaultIsTriedAgain(t *testing.T) {
	_, dir := newCA(t)
	file := filepath.Join(dir, caCertFile)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	noon := time.Now().Truncate(time.Second)
	write := func(text []byte) {
		t.Helper()
		if err := errors.Join(os.WriteFile(file, text, 0o600), os.Chtimes(file, noon, noon)); err != nil {
			t.Fatal(err)
		}
	}
	c := &clients{files: durable.Disk{}, dir: dir}
	write(make([]byte, len(good)))
	if c.current().fault == nil {
		t.Error("trust in a file of zeros")
	}
	write(good)
	if err := c.current().fault; err != nil {
		t.Error(err)
	}
}
