package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func serverTLS(t *testing.T, dir string, hosts ...string) (*tls.Config, *x509.Certificate) {
	t.Helper()
	cfg, err := Server{Dir: dir, Hosts: hosts}.Config()
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := Leaf(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return cfg, leaf
}

// shown is what the server shows to a client.
func shown(t *testing.T, cfg *tls.Config) *tls.Certificate {
	t.Helper()
	cert, err := cfg.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestServerTLSIsKept(t *testing.T) {
	umask(t, 0)
	dir := t.TempDir()
	_, first := serverTLS(t, dir, "shop.example", "192.0.2.7", "0.0.0.0", "::", "")
	wantMode(t, filepath.Join(dir, tlsKeyFile), 0o600)
	wantMode(t, filepath.Join(dir, tlsCertFile), 0o644)
	for _, host := range []string{"shop.example", "192.0.2.7"} {
		if err := first.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	if len(first.DNSNames) != 1 || len(first.IPAddresses) != 1 || first.IsCA {
		t.Errorf("names %v, addresses %v, CA %v", first.DNSNames, first.IPAddresses, first.IsCA)
	}
	_, second := serverTLS(t, dir, "shop.example")
	if !second.Equal(first) {
		t.Error("issued anew without need")
	}
	_, third := serverTLS(t, dir, "other.example")
	if third.Equal(first) || third.VerifyHostname("other.example") != nil {
		t.Errorf("not issued for the new host: %v", third.DNSNames)
	}
	if a, b := TLSFingerprint(first), TLSFingerprint(third); a != b || !strings.HasPrefix(a, "SHA256:") || len(a) != 50 {
		t.Errorf("fingerprint %s, then %s", a, b)
	}
}

// In the bubble's time the certificate comes of age.
func TestServerTLSRenews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		_, first := serverTLS(t, dir)
		time.Sleep(lifetime - renewAt - time.Minute)
		if _, same := serverTLS(t, dir); !same.Equal(first) {
			t.Error("renewed too early")
		}
		time.Sleep(2 * time.Minute)
		_, next := serverTLS(t, dir)
		if next.Equal(first) || next.SerialNumber.Cmp(first.SerialNumber) == 0 {
			t.Error("not renewed")
		}
		if left := time.Until(next.NotAfter); left < lifetime-time.Minute {
			t.Errorf("renewed for %v", left)
		}
		if TLSFingerprint(first) != TLSFingerprint(next) {
			t.Error("renewed with another key")
		}
	})
}

// handshake connects a client to a server with cfg and reports its error.
func handshake(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := ln.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		_, _ = io.Copy(io.Discard, conn) // shakes hands, and waits for the end
	}()
	conn, err := (&tls.Dialer{Config: client}).DialContext(t.Context(), "tcp", ln.Addr().String())
	if err == nil {
		err = conn.Close()
	}
	<-done
	return errors.Join(err, ln.Close())
}

func TestServerTLSHandshake(t *testing.T) {
	cfg, leaf := serverTLS(t, t.TempDir())
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	for _, host := range []string{"localhost", "127.0.0.1", "::1"} {
		if err := handshake(t, cfg, &tls.Config{RootCAs: roots, ServerName: host}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if err := handshake(t, cfg, &tls.Config{RootCAs: roots, ServerName: "other.example"}); err == nil {
		t.Error("another name is served")
	}
	old := &tls.Config{RootCAs: roots, ServerName: "localhost", MaxVersion: tls.VersionTLS12}
	if err := handshake(t, cfg, old); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.2: %v", err)
	}
	if !cfg.SessionTicketsDisabled {
		t.Error("session tickets")
	}
}

func TestServerTLSRefuses(t *testing.T) {
	other := t.TempDir()
	serverTLS(t, other)
	foreign, err := os.ReadFile(filepath.Join(other, tlsCertFile))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		file, content, want string
	}{
		"key empty":         {tlsKeyFile, "", "tls.key: no PRIVATE KEY in PEM form: restore it from a backup, or remove it"},
		"key broken":        {tlsKeyFile, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "tls.key: not a private key in PKCS #8"},
		"key of P-384":      {tlsKeyFile, keyPEM(t, elliptic.P384()), "tls.key: not an ECDSA key on P-256"},
		"key of another":    {tlsKeyFile, keyPEM(t, elliptic.P256()), "tls.crt: belongs to another key"},
		"certificate empty": {tlsCertFile, "", "tls.crt: no CERTIFICATE in PEM form: remove it"},
		"broken":            {tlsCertFile, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "tls.crt: x509: "},
		"of another":        {tlsCertFile, string(foreign), "tls.crt: belongs to another key"},
	} {
		dir := t.TempDir()
		serverTLS(t, dir)
		path := filepath.Join(dir, test.file)
		if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := (Server{Dir: dir}).Config(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != test.content {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

func TestServerTLSHalf(t *testing.T) {
	dir := t.TempDir()
	_, first := serverTLS(t, dir)
	if err := os.Remove(filepath.Join(dir, tlsCertFile)); err != nil {
		t.Fatal(err)
	}
	_, second := serverTLS(t, dir)
	if TLSFingerprint(first) != TLSFingerprint(second) {
		t.Error("without its certificate the key was replaced")
	}
	if err := os.Remove(filepath.Join(dir, tlsKeyFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := (Server{Dir: dir}).Config(); err == nil || !strings.Contains(err.Error(), "tls.key is missing") {
		t.Errorf("without the key: %v", err)
	}
}

// A certificate from somebody else's CA is not replaced by ours, though it has
// few days left and another name.
func TestServerTLSKeepsForeign(t *testing.T) {
	dir := t.TempDir()
	cfg, _ := serverTLS(t, dir)
	key, ok := shown(t, cfg).PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		t.Fatal("no ECDSA key")
	}
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sheet := template([]string{"old.example"}, time.Now().Add(-lifetime))
	der, err := x509.CreateCertificate(rand.Reader, sheet, sheet, &key.PublicKey, ca)
	if err != nil {
		t.Fatal(err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(filepath.Join(dir, tlsCertFile), append(block, block...), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, leaf := serverTLS(t, dir, "new.example")
	if string(leaf.Raw) != string(der) || len(shown(t, cfg).Certificate) != 2 {
		t.Errorf("served %v with a chain of %d", leaf.DNSNames, len(shown(t, cfg).Certificate))
	}
}

func keyPEM(t *testing.T, curve elliptic.Curve) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
