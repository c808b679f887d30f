package certs

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/internal/durable"
)

// Names of the host key's files in the state directory.
const (
	hostKeyFile = "host_key"
	publicFile  = "host_key.pub"
)

// HostKey returns the ssh host key in dir/host_key (ed25519 in the format of
// OpenSSH, mode 0600) and makes it when there is none. Its public half is kept
// in dir/host_key.pub. Processes that make it at the same time all get the same
// key.
func HostKey(dir string) (ssh.Signer, error) {
	path := filepath.Join(dir, hostKeyFile)
	signer, err := loadHostKey(durable.Disk{}, path)
	if errors.Is(err, fs.ErrNotExist) {
		signer, err = createHostKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("host key: %w", err)
	}
	publish(dir, signer.PublicKey())
	return signer, nil
}

// Fingerprint returns the key as ssh shows it: SHA256 and 43 characters.
func Fingerprint(key ssh.PublicKey) string { return ssh.FingerprintSHA256(key) }

func loadHostKey(files Files, path string) (ssh.Signer, error) {
	data, _, err := durable.ReadSecretFrom(files, path)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, broken(path, "the file is empty")
	}
	signer, err := ssh.ParsePrivateKey(data)
	if _, ok := errors.AsType[*ssh.PassphraseMissingError](err); ok {
		return nil, fmt.Errorf("%s: has a passphrase: remove it with: ssh-keygen -p -N '' -f %s", path, path)
	}
	if err != nil {
		return nil, broken(path, "not a private key of OpenSSH")
	}
	if kind := signer.PublicKey().Type(); kind != ssh.KeyAlgoED25519 {
		return nil, broken(path, "a key of type "+kind+", must be "+ssh.KeyAlgoED25519)
	}
	return signer, nil
}

// broken returns the error of a secret that must not be silently replaced. It
// leaves out the parser's message, which may quote the secret.
func broken(path, what string) error {
	return fmt.Errorf("%s: %s: restore it from a backup, or remove it to have a new one made, "+
		"which every client will report as changed", path, what)
}

func createHostKey(path string) (ssh.Signer, error) {
	signer, data, err := newHostKey(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	err = durable.CreateFile(path, data, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return loadHostKey(durable.Disk{}, path) // another process was first
	}
	return signer, err
}

// newHostKey makes a key, also in the form of OpenSSH.
func newHostKey(dir string) (ssh.Signer, []byte, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	block, err := ssh.MarshalPrivateKey(key, comment(dir))
	if err != nil {
		return nil, nil, err
	}
	signer, err := ssh.NewSignerFromKey(key)
	return signer, pem.EncodeToMemory(block), err
}

// publish writes host_key.pub. The file is only for people, so a failure (full
// disk, read-only) does not close the admin port; the next start tries again.
func publish(dir string, key ssh.PublicKey) {
	path := filepath.Join(dir, publicFile)
	line := ssh.MarshalAuthorizedKey(key)
	if old, err := os.ReadFile(path); err == nil && bytes.HasPrefix(old, bytes.TrimSpace(line)) {
		return
	}
	line = fmt.Appendf(bytes.TrimSpace(line), " %s\n", comment(dir))
	_ = durable.WriteFile(path, line, 0o644)
}

// comment names the cluster in the key's files: the last part of its state
// directory.
func comment(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return strings.Map(func(r rune) rune {
		if r < '!' || r > '~' {
			return '_'
		}
		return r
	}, filepath.Base(dir))
}
