package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/internal/durable"
)

// oldSuffix ends the name of a replaced key, which is kept for a way back.
const oldSuffix = ".old"

var errNoKey = errors.New("no key yet: it is made when the cluster is started first")

// ShownHostKey returns the public half of the ssh host key in dir. It makes none.
func ShownHostKey(dir string) (ssh.PublicKey, error) {
	signer, err := loadHostKey(durable.Disk{}, filepath.Join(dir, hostKeyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("host key: %w", errNoKey)
	}
	if err != nil {
		return nil, fmt.Errorf("host key: %w", err)
	}
	return signer.PublicKey(), nil
}

// ShownTLS returns the certificate of the TLS server in dir. It makes none.
func ShownTLS(dir string) (*x509.Certificate, error) {
	path := filepath.Join(dir, tlsCertFile)
	chain, err := readChain(durable.Disk{}, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("tls: %w", errNoKey)
	}
	if err == nil && len(chain) == 0 {
		err = fmt.Errorf("%s: no CERTIFICATE in PEM form", path)
	}
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	return x509.ParseCertificate(chain[0])
}

// RotateHostKey replaces the ssh host key in dir. The old one is kept in
// dir/host_key.old. A server that runs shows the new one to the next client.
func RotateHostKey(dir string) (ssh.PublicKey, error) {
	if _, err := ShownHostKey(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, hostKeyFile)
	signer, data, err := newHostKey(dir)
	if err == nil {
		err = replaceKey(path, data)
	}
	if err != nil {
		return nil, fmt.Errorf("host key: %w", err)
	}
	publish(dir, signer.PublicKey())
	return signer.PublicKey(), nil
}

// RotateTLS replaces the key of the TLS server in dir and issues its
// certificate anew. The old key is kept in dir/tls.key.old. A server that runs
// takes the new one at the next handshake.
func RotateTLS(dir string) (*x509.Certificate, error) {
	leaf, err := rotateTLS(filepath.Join(dir, tlsKeyFile), filepath.Join(dir, tlsCertFile))
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	return leaf, nil
}

func rotateTLS(keyPath, certPath string) (*x509.Certificate, error) {
	old, err := loadTLSKey(durable.Disk{}, keyPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoKey
	}
	if err != nil {
		return nil, err
	}
	ca, err := OpenCA(filepath.Dir(keyPath))
	if err != nil && !errors.Is(err, ErrNoCA) {
		return nil, err
	}
	_, leaf, err := loadCertificate(durable.Disk{}, certPath, old)
	if err != nil {
		return nil, err
	}
	if !stale(leaf, nil, ca, leaf.NotAfter.Add(time.Second)) {
		return nil, fmt.Errorf("%s is signed by somebody else: replace it and %s by hand", certPath, keyPath)
	}
	key, data, err := newKey()
	if err != nil {
		return nil, err
	}
	if err := replaceKey(keyPath, data); err != nil {
		return nil, err
	}
	hosts := leaf.DNSNames
	for _, ip := range leaf.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	_, leaf, err = issue(certPath, key, hosts, ca)
	return leaf, err
}

func replaceKey(path string, data []byte) error {
	old, _, err := durable.ReadSecret(path)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(path+oldSuffix, old, 0o600); err != nil {
		return err
	}
	return durable.WriteFile(path, data, 0o600)
}
