package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/norestart/norestart/internal/durable"
)

// Names of the CA's files in the state directory. The certificate may be of a CA
// elsewhere: then there is no key, and nothing is issued here.
const (
	caKeyFile  = "ca.key"
	caCertFile = "ca.crt"
)

const caLifetime = 10 * 365 * 24 * time.Hour

// ErrNoCA says that a directory has no CA of its own.
var ErrNoCA = errors.New("there is no CA")

// Authority is a cluster's own CA: an ECDSA P-256 key that signs the certificate
// of its TLS server and those of clients, and no other CA.
type Authority struct {
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// CertFile is the file of the CA's certificate, for those who verify.
func (a *Authority) CertFile() string { return filepath.Join(a.dir, caCertFile) }

// CreateCA makes a CA in dir, dir/ca.key (0600) and dir/ca.crt, named after
// the cluster. It refuses to replace one.
func CreateCA(dir, name string) (*Authority, error) {
	certPath := filepath.Join(dir, caCertFile)
	if _, err := os.Lstat(certPath); err == nil {
		return nil, taken(certPath)
	}
	key, err := loadTLSKey(durable.Disk{}, filepath.Join(dir, caKeyFile)) // goes on with a key whose CA was not finished
	if errors.Is(err, fs.ErrNotExist) {
		key, err = createTLSKey(filepath.Join(dir, caKeyFile))
	}
	if err != nil {
		return nil, fmt.Errorf("CA: %w", err)
	}
	// The ledger is there before the CA: without one, no certificate counts.
	err = durable.CreateFile(filepath.Join(dir, ledgerFile), emptyLedger, 0o600)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	der, err := selfSign(name+" CA", key)
	if err != nil {
		return nil, err
	}
	err = durable.CreateFile(certPath, certPEM(der), 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil, taken(certPath)
	}
	if err != nil {
		return nil, err
	}
	return OpenCA(dir)
}

func taken(path string) error {
	return fmt.Errorf("%s is there already; it is not replaced, for clients trust it", path)
}

// selfSign makes the certificate of a CA.
func selfSign(name string, key *ecdsa.PrivateKey) ([]byte, error) {
	now := time.Now()
	sheet := &x509.Certificate{
		Subject:   pkix.Name{CommonName: name},
		NotBefore: now.Add(-skew), NotAfter: now.Add(caLifetime),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, IsCA: true,
		BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	return x509.CreateCertificate(rand.Reader, sheet, sheet, &key.PublicKey, key)
}

// OpenCA loads the CA of dir. Without its key the error is [ErrNoCA].
func OpenCA(dir string) (*Authority, error) {
	keyPath, certPath := filepath.Join(dir, caKeyFile), filepath.Join(dir, caCertFile)
	key, err := loadTLSKey(durable.Disk{}, keyPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w in %s", ErrNoCA, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("CA: %w", err)
	}
	chain, err := readChain(durable.Disk{}, certPath)
	if err != nil {
		return nil, fmt.Errorf("CA: %w", err)
	}
	for _, der := range chain { // the certificate of an earlier CA may be in the file too
		cert, err := x509.ParseCertificate(der)
		if err == nil && key.PublicKey.Equal(cert.PublicKey) {
			return &Authority{dir, key, cert}, nil
		}
	}
	return nil, fmt.Errorf("CA: %s does not belong to %s: restore them from a backup", certPath, keyPath)
}

// Pair is a certificate and its key, in PEM form.
type Pair struct {
	Issued
	Cert, Key []byte
}

// IssueClient makes a key and a certificate with which user logs in, valid for
// life. It writes the certificate to the ledger before signing it, so that
// every certificate can be revoked.
func (a *Authority) IssueClient(user string, life time.Duration) (Pair, error) {
	key, keyPEM, err := newKey()
	if err != nil {
		return Pair{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return Pair{}, err
	}
	now := time.Now()
	sheet := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)), Subject: pkix.Name{CommonName: user},
		NotBefore: now.Add(-skew), NotAfter: a.within(now.Add(life)),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	entry := Issued{Serial: serialText(sheet.SerialNumber), User: user, Made: now.UTC().Truncate(time.Second), Expires: sheet.NotAfter.UTC().Truncate(time.Second)}
	err = editLedger(a.dir, func(l *ledger) error {
		l.Certificates = append(l.Certificates, entry)
		return nil
	})
	if err != nil {
		return Pair{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, sheet, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return Pair{}, err
	}
	return Pair{Issued: entry, Cert: certPEM(der), Key: keyPEM}, nil
}

// within returns end, or the end of the CA if that comes first.
func (a *Authority) within(end time.Time) time.Time {
	if a.cert.NotAfter.Before(end) {
		return a.cert.NotAfter
	}
	return end
}

func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
