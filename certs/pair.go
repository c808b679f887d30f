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

// retryAfter is the wait after a renewal that failed: each try may write to the
// disk.
const retryAfter = time.Minute

// pair is a server's certificate and key. It follows their files.
type pair struct {
	from Server

	mu    sync.Mutex // protects the fields below
	seen  []fs.FileInfo
	cert  *tls.Certificate
	retry time.Time // no try before it
	// failed is set if the files could not be used, so that a passing failure (no
	// free descriptor) is tried again.
	failed bool
}

func newPair(s Server) (*pair, error) {
	if (s.CertFile == "") != (s.KeyFile == "") {
		return nil, errors.New("a certificate and its key belong together: name both files")
	}
	p := &pair{from: s}
	if err := p.load(); err != nil {
		return nil, err
	}
	return p, nil
}

// get is a tls.Config's GetCertificate. While the files cannot be used, it
// returns the last good certificate.
func (p *pair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	seen, err := p.look()
	if err != nil {
		return p.cert, nil
	}
	changed := !slices.EqualFunc(seen, p.seen, durable.Same)
	wanted := p.failed || !p.foreign() && due(p.cert.Leaf, now)
	if !changed && (!wanted || now.Before(p.retry)) {
		return p.cert, nil
	}
	p.retry = now.Add(retryAfter)
	err = p.load()
	if p.failed = err != nil; p.failed && p.from.Log != nil {
		p.from.Log("tls: the certificate of before is used on: %v", err)
	}
	return p.cert, nil
}

func (p *pair) foreign() bool { return p.from.CertFile != "" }

// look returns the state of the files that the pair is made of.
func (p *pair) look() ([]fs.FileInfo, error) {
	if p.foreign() {
		return durable.Look(p.from.Files, p.from.CertFile, p.from.KeyFile)
	}
	return durable.Look(p.from.Files, p.path(tlsCertFile), p.path(tlsKeyFile), p.path(caCertFile), p.path(caKeyFile))
}

func (p *pair) path(name string) string { return filepath.Join(p.from.Dir, name) }

// load reads the files, or has them made. Another change meanwhile is read at the
// next handshake.
func (p *pair) load() error {
	seen, err := p.look()
	if err != nil {
		return err
	}
	p.seen = seen
	var cert *tls.Certificate
	switch {
	case p.foreign():
		cert, err = p.loadForeign()
	case p.from.Prepare == nil:
		cert, err = p.makeOwn()
	default:
		cert, err = p.haveMade()
	}
	if cert != nil {
		p.cert = cert
	}
	return err
}

// makeOwn loads key and certificate, and makes those that are missing or stale.
func (p *pair) makeOwn() (*tls.Certificate, error) {
	key, err := tlsKey(p.path(tlsKeyFile), p.path(tlsCertFile))
	if err != nil {
		return nil, err
	}
	ca, err := OpenCA(p.from.Dir)
	if err != nil && !errors.Is(err, ErrNoCA) {
		return nil, err
	}
	chain, leaf, err := certificate(p.path(tlsCertFile), key, names(p.from.Hosts), ca)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}, nil
}

// haveMade is makeOwn for a process that asks another one to make the files. It
// may return both an error and a certificate that can still be used.
func (p *pair) haveMade() (*tls.Certificate, error) {
	cert, err := p.readOwn()
	if err == nil && !stale(cert.Leaf, names(p.from.Hosts), p.signer(cert.Leaf), time.Now()) {
		return cert, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := p.from.Prepare(); err != nil {
		return cert, fmt.Errorf("have the certificate made: %w", err)
	}
	return p.readOwn()
}

func (p *pair) readOwn() (*tls.Certificate, error) {
	key, err := loadTLSKey(p.from.Files, p.path(tlsKeyFile))
	if err != nil {
		return nil, err
	}
	chain, leaf, err := loadCertificate(p.from.Files, p.path(tlsCertFile), key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}, nil
}

// signer returns the CA that would sign leaf, without its key: the certificate in
// ca.crt that has signed it, or the first one there. Nil: there is no CA.
func (p *pair) signer(leaf *x509.Certificate) *Authority {
	if _, err := p.from.Files.Stat(p.path(caKeyFile)); err != nil {
		return nil
	}
	chain, err := readChain(p.from.Files, p.path(caCertFile))
	if err != nil {
		return nil // the process that has the key reports what is wrong
	}
	var ca *Authority
	for _, der := range chain {
		cert, err := x509.ParseCertificate(der)
		if err == nil && (ca == nil || leaf.CheckSignatureFrom(cert) == nil) {
			ca = &Authority{dir: p.from.Dir, cert: cert}
		}
	}
	return ca
}

// loadForeign reads a pair that somebody else maintains.
func (p *pair) loadForeign() (*tls.Certificate, error) {
	certPath, keyPath := p.from.CertFile, p.from.KeyFile
	key, _, err := durable.ReadSecretFrom(p.from.Files, keyPath)
	if err != nil {
		return nil, err
	}
	chain, err := readChain(p.from.Files, certPath)
	if err != nil {
		return nil, err
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("%s: no CERTIFICATE in PEM form", certPath)
	}
	var text []byte
	for _, der := range chain {
		text = append(text, certPEM(der)...)
	}
	cert, err := tls.X509KeyPair(text, key)
	if err != nil { // its text might quote the key
		return nil, fmt.Errorf("%s and %s are no pair in PEM form", certPath, keyPath)
	}
	if cert.Leaf, err = x509.ParseCertificate(chain[0]); err != nil {
		return nil, fmt.Errorf("%s: %w", certPath, err)
	}
	return &cert, nil
}
