package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/norestart/norestart/internal/durable"
)

// Names of the TLS files in the state directory.
const (
	tlsKeyFile  = "tls.key"
	tlsCertFile = "tls.crt"
)

// ServerTLS returns the configuration of a TLS server whose key is in
// dir/tls.key (ECDSA P-256, mode 0600) and whose certificate is in dir/tls.crt;
// both are made when there are none. The certificate is self-signed for hosts
// (names and addresses; none: localhost) and is issued anew, with the same key,
// when it has less than 30 days left or lacks one of hosts. One that somebody
// else has signed is used as it is.
//
// TLS 1.3 only, without session tickets: a resumed session would outlive the
// withdrawal of a client's certificate.
func ServerTLS(dir string, hosts []string) (*tls.Config, error) {
	keyPath, certPath := filepath.Join(dir, tlsKeyFile), filepath.Join(dir, tlsCertFile)
	key, err := tlsKey(keyPath, certPath)
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	chain, leaf, err := certificate(certPath, key, names(hosts))
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	return &tls.Config{
		Certificates:           []tls.Certificate{{Certificate: chain, PrivateKey: key, Leaf: leaf}},
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
	}, nil
}

// TLSFingerprint is the SHA-256 of the certificate's public key
// (SubjectPublicKeyInfo, as in RFC 7469) in the form of [Fingerprint]. It stays
// when the certificate is renewed.
func TLSFingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// tlsKey loads the key, or makes it when there is neither key nor certificate.
func tlsKey(path, certPath string) (*ecdsa.PrivateKey, error) {
	key, err := loadTLSKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if _, err := os.Lstat(certPath); err == nil {
		return nil, fmt.Errorf("%s is missing and its certificate %s is there: restore it from a backup, "+
			"or remove the certificate to have both made", path, certPath)
	}
	return createTLSKey(path)
}

func loadTLSKey(path string) (*ecdsa.PrivateKey, error) {
	data, _, err := durable.ReadSecret(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, broken(path, "no PRIVATE KEY in PEM form")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, broken(path, "not a private key in PKCS #8 form")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, broken(path, "not an ECDSA key on P-256")
	}
	return key, nil
}

func createTLSKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	data := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	err = durable.CreateFile(path, data, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return loadTLSKey(path) // another process was first
	}
	return key, err
}

// certificate returns the chain in the file if it serves, else a new one.
func certificate(path string, key *ecdsa.PrivateKey, hosts []string) ([][]byte, *x509.Certificate, error) {
	chain, leaf, err := loadCertificate(path, key)
	if errors.Is(err, fs.ErrNotExist) || err == nil && stale(leaf, hosts, time.Now()) {
		return issue(path, key, hosts)
	}
	return chain, leaf, err
}
