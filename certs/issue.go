package certs

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"time"

	"github.com/norestart/norestart/internal/durable"
)

// Life of a certificate.
const (
	lifetime = 365 * 24 * time.Hour
	renewAt  = 30 * 24 * time.Hour // left
	skew     = time.Hour           // how far a client's clock may be behind
)

// names returns the hosts that a certificate can name. The unspecified address,
// on which a server listens everywhere, is none of them.
func names(hosts []string) []string {
	named := slices.DeleteFunc(slices.Clone(hosts), func(host string) bool {
		ip := net.ParseIP(host)
		return host == "" || ip != nil && ip.IsUnspecified()
	})
	if len(named) == 0 {
		return []string{"localhost", "127.0.0.1", "::1"}
	}
	return named
}

// certificate returns the chain in the file if it can be used, else a new one. ca
// is nil if there is none.
func certificate(path string, key *ecdsa.PrivateKey, hosts []string, ca *Authority) ([][]byte, *x509.Certificate, error) {
	chain, leaf, err := loadCertificate(durable.Disk{}, path, key)
	if errors.Is(err, fs.ErrNotExist) || err == nil && stale(leaf, hosts, ca, time.Now()) {
		return issue(path, key, hosts, ca)
	}
	return chain, leaf, err
}

// stale reports whether leaf must be issued anew at now. A certificate that
// somebody else signed is never stale.
func stale(leaf *x509.Certificate, hosts []string, ca *Authority, now time.Time) bool {
	byKey := leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil
	byCA := ca != nil && leaf.CheckSignatureFrom(ca.cert) == nil
	if !byKey && !byCA {
		return false
	}
	lacks := func(host string) bool { return leaf.VerifyHostname(host) != nil }
	return byKey && ca != nil || due(leaf, now) || now.Before(leaf.NotBefore) || slices.ContainsFunc(hosts, lacks)
}

// due reports whether it is time to renew leaf. A certificate that lives less
// than twice renewAt, such as the last one of a CA, is renewed after half its
// life.
func due(leaf *x509.Certificate, now time.Time) bool {
	early := min(renewAt, leaf.NotAfter.Sub(leaf.NotBefore)/2)
	return leaf.NotAfter.Sub(now) < early
}

func loadCertificate(files Files, path string, key *ecdsa.PrivateKey) ([][]byte, *x509.Certificate, error) {
	const remedy = "remove it to have it issued anew with the same key"
	chain, err := readChain(files, path)
	if err != nil {
		return nil, nil, err
	}
	if len(chain) == 0 {
		return nil, nil, fmt.Errorf("%s: no CERTIFICATE in PEM form: %s", path, remedy)
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w: %s", path, err, remedy)
	}
	if !key.PublicKey.Equal(leaf.PublicKey) {
		return nil, nil, fmt.Errorf("%s: belongs to another key than %s: restore the key, or %s", path, tlsKeyFile, remedy)
	}
	return chain, leaf, nil
}

// readChain returns the certificates in the file, the server's first.
func readChain(files Files, path string) ([][]byte, error) {
	data, err := durable.ReadPublicFrom(files, path)
	if err != nil {
		return nil, err
	}
	var chain [][]byte
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			chain = append(chain, block.Bytes)
		}
	}
	return chain, nil
}

// issue signs a new certificate, by the CA or with its own key, and keeps it in
// the file.
func issue(path string, key *ecdsa.PrivateKey, hosts []string, ca *Authority) ([][]byte, *x509.Certificate, error) {
	sheet := template(hosts, time.Now())
	parent, signer := sheet, key
	if ca != nil {
		parent, signer, sheet.NotAfter = ca.cert, ca.key, ca.within(sheet.NotAfter)
	}
	der, err := x509.CreateCertificate(rand.Reader, sheet, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	if err := durable.WriteFile(path, certPEM(der), 0o644); err != nil {
		return nil, nil, err
	}
	return [][]byte{der}, leaf, nil
}

// template is the certificate before it is signed. A nil SerialNumber makes
// [x509.CreateCertificate] choose a random one.
func template(hosts []string, now time.Time) *x509.Certificate {
	t := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "norestart"},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(lifetime),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, host)
		}
	}
	return t
}
