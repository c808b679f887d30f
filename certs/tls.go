package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
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

	"github.com/norestart/norestart/internal/durable"
)

// Names of the TLS files in the state directory.
const (
	tlsKeyFile  = "tls.key"
	tlsCertFile = "tls.crt"
)

// Files reads keys and certificates for a process that may not enter their
// directory.
type Files interface {
	// Open opens a file to read it, without waiting for the writer of a FIFO.
	Open(path string) (*os.File, error)
	// Stat describes a file without reading it, also one that Open refuses.
	Stat(path string) (fs.FileInfo, error)
}

// Server names the files of a TLS server: its key, its certificate and the CA
// of its clients.
type Server struct {
	// Dir is the state directory. The key is in Dir/tls.key (ECDSA P-256, mode
	// 0600), the certificate in Dir/tls.crt; both are made if there are none. The
	// CA in Dir signs the certificate if there is one, else the key itself does.
	// It is issued anew, with the same key, when it has less than 30 days left or
	// lacks one of Hosts. A certificate that somebody else has signed is used as
	// it is.
	Dir   string
	Hosts []string // names and addresses; none: localhost
	// CertFile and KeyFile, both or neither, are a certificate and a key of
	// another CA, used instead of those in Dir.
	CertFile, KeyFile string
	// Files reads all of these; nil: from the disk.
	Files Files
	// Prepare, if not nil, is called to make or renew files, and returns when
	// that is done. So a process that listens to the network needs no access to
	// the CA's key and writes nothing. Nil: this process does it.
	Prepare func() error
	// Log takes a line about files that have changed and cannot be used; nil:
	// dropped.
	Log func(format string, args ...any)
}

// Config returns the configuration of a TLS server. The certificate is renewed,
// and files that change are read again, while it is in use.
//
// A client may present a certificate. It must be signed by the CA in Dir/ca.crt,
// made for clients, within its time and not revoked, according to the files at
// that moment. VerifyConnection can be called again later.
//
// TLS 1.3 only, without session tickets: a resumed session would outlive the
// revocation of a client's certificate.
func (s Server) Config() (*tls.Config, error) {
	if s.Files == nil {
		s.Files = durable.Disk{}
	}
	own, err := newPair(s)
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	trusted := &clients{files: s.Files, dir: s.Dir}
	return &tls.Config{
		GetCertificate:         own.get,
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
		ClientAuth:             tls.RequestClientCert, // judged by VerifyConnection
		VerifyConnection:       trusted.verify,
	}, nil
}

// Leaf returns the certificate that a server with that configuration shows now.
func Leaf(cfg *tls.Config) (*x509.Certificate, error) {
	cert, err := cfg.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		return nil, err
	}
	return cert.Leaf, nil
}

// TLSFingerprint returns the SHA-256 of the certificate's public key
// (SubjectPublicKeyInfo, as in RFC 7469) in the form of [Fingerprint]. It stays
// when the certificate is renewed.
func TLSFingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// tlsKey loads the key, or makes it when there is neither key nor certificate.
func tlsKey(path, certPath string) (*ecdsa.PrivateKey, error) {
	key, err := loadTLSKey(durable.Disk{}, path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if _, err := os.Lstat(certPath); err == nil {
		return nil, fmt.Errorf("%s is missing and its certificate %s is there: restore it from a backup, "+
			"or remove the certificate to have both made", path, certPath)
	}
	return createTLSKey(path)
}

func loadTLSKey(files Files, path string) (*ecdsa.PrivateKey, error) {
	data, _, err := durable.ReadSecretFrom(files, path)
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
	key, data, err := newKey()
	if err != nil {
		return nil, err
	}
	err = durable.CreateFile(path, data, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return loadTLSKey(durable.Disk{}, path) // another process was first
	}
	return key, err
}

// ServerFiles returns the files in dir that a running server reads, and those
// that it only has to look at.
func ServerFiles(dir string) (read, look []string) {
	for _, name := range []string{hostKeyFile, tlsKeyFile, tlsCertFile, caCertFile, ledgerFile} {
		read = append(read, filepath.Join(dir, name))
	}
	return read, []string{filepath.Join(dir, caKeyFile)}
}
