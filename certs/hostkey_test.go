package certs

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestHostKeyIsKept(t *testing.T) {
	umask(t, 0)
	dir := filepath.Join(t.TempDir(), "my shop")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	first, err := HostKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	wantMode(t, filepath.Join(dir, hostKeyFile), 0o600)
	wantMode(t, filepath.Join(dir, publicFile), 0o644)
	second, err := HostKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	text := Fingerprint(first.PublicKey())
	if again := Fingerprint(second.PublicKey()); again != text || !strings.HasPrefix(text, "SHA256:") || len(text) != 50 {
		t.Errorf("%s, then %s", text, again)
	}
	data := []byte("signed by the second")
	signature, err := second.Sign(rand.Reader, data)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.PublicKey().Verify(data, signature); err != nil {
		t.Error(err)
	}
	wantPublic(t, dir, first.PublicKey())
}

func wantPublic(t *testing.T, dir string, want ssh.PublicKey) {
	t.Helper()
	line, err := os.ReadFile(filepath.Join(dir, publicFile))
	if err != nil {
		t.Fatal(err)
	}
	key, comment, err := ParseAuthorizedKey(strings.TrimSuffix(string(line), "\n"))
	if err != nil || Fingerprint(key) != Fingerprint(want) || comment != "my_shop" {
		t.Errorf("%q: comment %q, %v", line, comment, err)
	}
}

func TestPublicHalfIsMended(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "my shop")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	key, err := HostKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, publicFile)
	for _, mar := range []func() error{
		func() error { return os.Remove(path) },
		func() error { return os.WriteFile(path, []byte("ssh-ed25519 AAAA other"), 0o600) },
	} {
		if err := mar(); err != nil {
			t.Fatal(err)
		}
		if _, err := HostKey(dir); err != nil {
			t.Fatal(err)
		}
		wantPublic(t, dir, key.PublicKey())
	}
}

func TestHostKeyMadeOnce(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	prints := make([]string, 8)
	for i := range prints {
		wg.Go(func() {
			key, err := HostKey(dir)
			if err != nil {
				t.Error(err)
				return
			}
			prints[i] = Fingerprint(key.PublicKey())
		})
	}
	wg.Wait()
	for _, p := range prints {
		if p != prints[0] {
			t.Fatalf("different keys: %v", prints)
		}
	}
}

func TestHostKeyRefuses(t *testing.T) {
	locked, plain := privateKeys(t)
	for name, test := range map[string]struct{ content, want string }{
		"empty":      {"", "the file is empty"},
		"blank":      {"\n \n", "the file is empty"},
		"garbage":    {"\x00\x01garbage", "not a private key of OpenSSH"},
		"cut":        {plain[:len(plain)/2], "not a private key of OpenSSH"},
		"passphrase": {locked, "has a passphrase: remove it with: ssh-keygen -p"},
		"ecdsa":      {plain, "a key of type ecdsa-sha2-nistp256, must be ssh-ed25519"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, hostKeyFile)
		if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := HostKey(dir)
		if err == nil || !strings.Contains(err.Error(), path+": "+test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != test.content {
			t.Errorf("%s: the file was changed: %v", name, err)
		}
	}
}

func TestHostKeyDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, hostKeyFile), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{dir, filepath.Join(dir, "missing")} {
		if _, err := HostKey(dir); err == nil {
			t.Errorf("%s: a key", dir)
		}
	}
}

// privateKeys returns an ed25519 key with a passphrase and an ECDSA key.
func privateKeys(t *testing.T) (locked, plain string) {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	lockedBlock, err := ssh.MarshalPrivateKeyWithPassphrase(ed, "", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	plainBlock, err := ssh.MarshalPrivateKey(ec, "")
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(lockedBlock)), string(pem.EncodeToMemory(plainBlock))
}
