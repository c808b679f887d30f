package certs

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/norestart/norestart/internal/durable"
)

func TestRotate(t *testing.T) {
	dir := t.TempDir()
	if _, err := RotateHostKey(dir); !errors.Is(err, errNoKey) {
		t.Errorf("host key: %v", err)
	}
	if _, err := RotateTLS(dir); !errors.Is(err, errNoKey) {
		t.Errorf("tls: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("made: %v, %v", entries, err)
	}
	host, err := HostKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	cfg, leaf := serverTLS(t, dir, "shop.example", "192.0.2.7")

	next, err := RotateHostKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	if shown, err := ShownHostKey(dir); err != nil || Fingerprint(shown) != Fingerprint(next) || Fingerprint(next) == Fingerprint(host.PublicKey()) {
		t.Errorf("host key: %v", err)
	}
	wantMode(t, filepath.Join(dir, hostKeyFile+oldSuffix), 0o600)
	if old, err := loadHostKey(durable.Disk{}, filepath.Join(dir, hostKeyFile+oldSuffix)); err != nil || Fingerprint(old.PublicKey()) != Fingerprint(host.PublicKey()) {
		t.Errorf("the old host key: %v", err)
	}

	again, err := RotateTLS(dir)
	if err != nil || TLSFingerprint(again) == TLSFingerprint(leaf) || again.VerifyHostname("shop.example") != nil || again.VerifyHostname("192.0.2.7") != nil {
		t.Errorf("tls: %v", err)
	}
	if used, err := Leaf(cfg); err != nil || !used.Equal(again) {
		t.Errorf("the server that runs has not taken it: %v", err)
	}
}

// With a CA the new certificate is from it; one that somebody else has signed
// is not replaced.
func TestRotateTLSOfCA(t *testing.T) {
	ca, dir := newCA(t)
	serverTLS(t, dir)
	leaf, err := RotateTLS(dir)
	if err != nil || leaf.CheckSignatureFrom(ca.cert) != nil {
		t.Errorf("%v", err)
	}
	for _, file := range []string{caKeyFile, caCertFile} {
		if err := os.Remove(filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := RotateTLS(dir); err == nil {
		t.Error("a certificate of somebody else's CA was replaced")
	}
}
