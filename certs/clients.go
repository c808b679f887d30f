package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/norestart/norestart/internal/durable"
)

// clients judges the certificates of clients by the present files in the state
// directory.
type clients struct {
	files Files
	dir   string

	mu    sync.Mutex // protects the fields below
	seen  []fs.FileInfo
	trust *trust
}

type trust struct {
	roots   *x509.CertPool // nil: no CA
	revoked map[string]bool
	fault   error // why no certificate is accepted
}

// verify is a tls.Config's VerifyConnection. A client without a certificate may
// go on, and is asked for a password. A client with a bad certificate is
// refused.
func (c *clients) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return nil
	}
	return c.current().verify(state.PeerCertificates, time.Now())
}

// current reads the files again if one of them has changed.
func (c *clients) current() *trust {
	seen, err := durable.Look(c.files, filepath.Join(c.dir, caCertFile), filepath.Join(c.dir, ledgerFile))
	c.mu.Lock() // after Look: the files may be out of reach for seconds
	defer c.mu.Unlock()
	switch {
	case err != nil && c.trust != nil:
		return c.trust
	case err != nil:
		return &trust{fault: err}
	case c.trust != nil && c.trust.fault == nil && slices.EqualFunc(seen, c.seen, durable.Same):
		return c.trust
	}
	t := loadTrust(c.files, c.dir)
	if errors.Is(t.fault, durable.ErrAway) && c.trust != nil {
		return c.trust
	}
	c.seen, c.trust = seen, t
	return t
}

func loadTrust(files Files, dir string) *trust {
	path := filepath.Join(dir, caCertFile)
	chain, err := readChain(files, path)
	if errors.Is(err, fs.ErrNotExist) {
		return &trust{}
	}
	if err == nil && len(chain) == 0 {
		err = fmt.Errorf("%s: no CERTIFICATE in PEM form", path)
	}
	t := &trust{roots: x509.NewCertPool(), revoked: map[string]bool{}, fault: err}
	for _, der := range chain {
		root, err := x509.ParseCertificate(der)
		if err != nil {
			return &trust{fault: fmt.Errorf("%s: %w", path, err)}
		}
		t.roots.AddCert(root)
	}
	l, err := readLedger(files, dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = lostLedger(files, dir)
	}
	t.fault = errors.Join(t.fault, err)
	for _, c := range l.Certificates {
		t.revoked[c.Serial] = t.revoked[c.Serial] || !c.Revoked.IsZero()
	}
	return t
}

// verify accepts every certificate that the CA has signed, even if the ledger
// does not list it. A thief of the CA's key could copy a listed serial anyway,
// and a ledger that was restored from a backup or begun anew would lock everybody
// out. A stolen key needs a new CA.
func (t *trust) verify(peer []*x509.Certificate, now time.Time) error {
	leaf := peer[0]
	switch {
	case t.fault != nil:
		return t.fault
	case t.roots == nil:
		return errors.New("certificate: there is no CA here")
	case leaf.IsCA:
		return errors.New("certificate: it is that of a CA")
	case !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth): // x509 takes no key usage for any key usage
		return errors.New("certificate: not for clients (extended key usage)")
	}
	between := x509.NewCertPool()
	for _, cert := range peer[1:] {
		between.AddCert(cert)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: t.roots, Intermediates: between, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	for _, chain := range chains {
		for _, cert := range chain {
			if t.revoked[serialText(cert.SerialNumber)] {
				return fmt.Errorf("certificate: serial %s is revoked", serialText(cert.SerialNumber))
			}
		}
	}
	return nil
}
