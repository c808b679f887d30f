package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/norestart/norestart/internal/durable"
)

// A server that runs shows the new key to its next client, and a file that
// cannot be used changes nothing but is told once.
func TestHostKeysFollow(t *testing.T) {
	dir := t.TempDir()
	var told []string
	log := func(format string, args ...any) { told = append(told, fmt.Sprintf(format, args...)) }
	if _, err := OpenHostKey(durable.Disk{}, dir, log); err == nil {
		t.Fatal("no key, no error")
	}
	if _, err := HostKey(dir); err != nil {
		t.Fatal(err)
	}
	keys, err := OpenHostKey(durable.Disk{}, dir, log)
	if err != nil {
		t.Fatal(err)
	}
	next, err := RotateHostKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := keys.Signer().PublicKey(); Fingerprint(got) != Fingerprint(next) {
		t.Error("the old key is shown")
	}
	if err := os.WriteFile(filepath.Join(dir, hostKeyFile), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got := keys.Signer().PublicKey(); Fingerprint(got) != Fingerprint(next) {
			t.Error("the key was lost with its file")
		}
	}
	if len(told) != 1 || !strings.Contains(told[0], "not a private key of OpenSSH") {
		t.Errorf("told %q", told)
	}
}

// guarded are the files of a process that may not read all of them, and whose
// helper may be away.
type guarded struct {
	t    *testing.T
	away *bool
}

func (g guarded) Open(path string) (*os.File, error) {
	if filepath.Base(path) == caKeyFile {
		g.t.Errorf("%s was opened", path)
	}
	if *g.away {
		return nil, durable.ErrAway
	}
	return durable.Disk{}.Open(path)
}

func (g guarded) Stat(path string) (fs.FileInfo, error) {
	if *g.away {
		return nil, durable.ErrAway
	}
	return durable.Disk{}.Stat(path)
}

// The server that is attacked has others issue its certificate: it never reads
// the key of the CA and writes nothing. While its files are out of reach it goes
// on with what it has.
func TestServerLeavesTheKeyOfTheCA(t *testing.T) {
	ca, dir := newCA(t)
	var away bool
	asked := 0
	server := Server{Dir: dir, Hosts: []string{"shop.example"}, Files: guarded{t, &away}, Prepare: func() error {
		asked++
		_, err := Server{Dir: dir, Hosts: []string{"shop.example"}}.Config()
		return err
	}}
	cfg, err := server.Config()
	if err != nil {
		t.Fatal(err)
	}
	first, err := Leaf(cfg)
	if err != nil || first.CheckSignatureFrom(ca.cert) != nil || asked != 1 {
		t.Fatalf("%v, asked %d times", err, asked)
	}
	pair, err := ca.IssueClient("viola", lifetime)
	viola := tls.ConnectionState{PeerCertificates: []*x509.Certificate{pairOf(t, pair, err).Leaf}}
	if err := cfg.VerifyConnection(viola); err != nil {
		t.Errorf("a client: %v", err)
	}
	away = true
	if err := cfg.VerifyConnection(viola); err != nil {
		t.Errorf("a client, while the files are out of reach: %v", err)
	}
	if same, err := Leaf(cfg); err != nil || !same.Equal(first) {
		t.Errorf("the certificate, while the files are out of reach: %v", err)
	}
	away = false
	if err := os.Remove(filepath.Join(dir, tlsCertFile)); err != nil {
		t.Fatal(err)
	}
	if next, err := Leaf(cfg); err != nil || next.Equal(first) || asked != 2 {
		t.Errorf("the certificate was removed: %v, asked %d times", err, asked)
	}
	if err := os.Remove(filepath.Join(dir, ledgerFile)); err != nil {
		t.Fatal(err)
	}
	if err := cfg.VerifyConnection(viola); err == nil {
		t.Error("a client is believed without the ledger")
	}
}
