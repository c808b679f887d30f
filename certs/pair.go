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

// retryAfter is how long a renewal that failed is not tried again: each try
// may write to the disk.
const retryAfter = time.Minute

// pair is a server's certificate and key, which follow their files.
type pair struct {
	from Server

	mu    sync.Mutex // protects what follows
	seen  []fs.FileInfo
	cert  *tls.Certificate
	retry time.Time // not before
}

func newPair(s Server) (*pair, error) {
	if (s.CertFile == "") != (s.KeyFile == "") {
		return nil, errors.New("a certificate needs its key, and a key its certificate: name both files")
	}
	p := &pair{from: s}
	if err := p.load(); err != nil {
		return nil, err
	}
	return p, nil
}

// get is a tls.Config's GetCertificate. What cannot be used does not replace
// what could.
func (p *pair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	changed := !slices.EqualFunc(p.look(), p.seen, same)
	if !changed && (p.foreign() || !due(p.cert.Leaf, now) || now.Before(p.retry)) {
		return p.cert, nil
	}
	p.retry = now.Add(retryAfter)
	if err := p.load(); err != nil && p.from.Log != nil {
		p.from.Log("tls: the certificate of before is used on: %v", err)
	}
	return p.cert, nil
}

func (p *pair) foreign() bool { return p.from.CertFile != "" }

// look is what there is to see of the files that the pair is made of.
func (p *pair) look() []fs.FileInfo {
	if p.foreign() {
		return look(p.from.CertFile, p.from.KeyFile)
	}
	dir := p.from.Dir
	return look(filepath.Join(dir, tlsCertFile), filepath.Join(dir, tlsKeyFile), filepath.Join(dir, caCertFile), filepath.Join(dir, caKeyFile))
}

// load reads the files, or makes them. What changes meanwhile, by this renewal
// or by others, is read again at the next handshake.
func (p *pair) load() error {
	p.seen = p.look()
	var cert *tls.Certificate
	var err error
	if p.foreign() {
		cert, err = loadForeign(p.from.CertFile, p.from.KeyFile)
	} else {
		cert, err = p.loadOwn()
	}
	if err != nil {
		return err
	}
	p.cert = cert
	return nil
}

func (p *pair) loadOwn() (*tls.Certificate, error) {
	keyPath, certPath := filepath.Join(p.from.Dir, tlsKeyFile), filepath.Join(p.from.Dir, tlsCertFile)
	key, err := tlsKey(keyPath, certPath)
	if err != nil {
		return nil, err
	}
	ca, err := OpenCA(p.from.Dir)
	if err != nil && !errors.Is(err, ErrNoCA) {
		return nil, err
	}
	chain, leaf, err := certificate(certPath, key, names(p.from.Hosts), ca)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}, nil
}

// loadForeign reads a pair that somebody else looks after.
func loadForeign(certPath, keyPath string) (*tls.Certificate, error) {
	key, _, err := durable.ReadSecret(keyPath)
	if err != nil {
		return nil, err
	}
	chain, err := readChain(certPath)
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
	if err != nil { // its text may quote nothing of the key
		return nil, fmt.Errorf("%s and %s are no pair in PEM form", certPath, keyPath)
	}
	if cert.Leaf, err = x509.ParseCertificate(chain[0]); err != nil {
		return nil, fmt.Errorf("%s: %w", certPath, err)
	}
	return &cert, nil
}
