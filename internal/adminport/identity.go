package adminport

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/netip"
	"slices"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/users"
)

const minRSABits = 3072

// identity is a user who has logged in, and the proof: exactly one of hash, blob,
// cert and peer is set; none for a local caller.
type identity struct {
	name string
	addr netip.Addr // of the peer
	key  string     // fingerprint of the key; empty: by password

	hash string               // of the password
	blob string               // a plain ssh key, in wire form
	cert *gossh.Certificate   // an ssh certificate
	peer *tls.ConnectionState // a certificate of TLS

	line   string    // of users.toml, with the plain key
	rights users.Key // of the key; zero: all that the user may
	asked  string    // the command that a forced one replaced
}

// identityKey is the key of the identity in Permissions.ExtraData. It is read
// from nowhere else.
type identityKey struct{}

func (id identity) permissions() *gossh.Permissions {
	p := &gossh.Permissions{ExtraData: map[any]any{identityKey{}: id}}
	if id.cert == nil {
		return p
	}
	if from, ok := id.cert.CriticalOptions[sourceAddress]; ok { // x/crypto enforces it as well
		p.CriticalOptions = map[string]string{sourceAddress: from}
	}
	return p
}

func identityOf(perms *gossh.Permissions) (identity, bool) {
	if perms == nil {
		return identity{}, false
	}
	id, ok := perms.ExtraData[identityKey{}].(identity)
	return id, ok
}

// reason tells the audit log how the identity was proved.
func (id identity) reason(method string) string {
	switch {
	case id.cert != nil:
		return fmt.Sprintf("%s: certificate %s, serial %d, CA %s", method,
			audit.Quote(id.cert.KeyId), id.cert.Serial, gossh.FingerprintSHA256(id.cert.SignatureKey))
	case id.peer != nil:
		return fmt.Sprintf("certificate: serial %x", id.peer.PeerCertificates[0].SerialNumber)
	}
	return method
}

// peerIdentity is the identity in a client's TLS certificate. It proves nothing
// until still has judged it.
func peerIdentity(state *tls.ConnectionState, addr netip.Addr) identity {
	leaf := state.PeerCertificates[0]
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	return identity{
		name: holder(leaf), addr: addr, peer: state,
		key: "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]),
	}
}

// holder is the user that a certificate names: its common name or, without one,
// its only DNS name.
func holder(cert *x509.Certificate) string {
	if cert.Subject.CommonName == "" && len(cert.DNSNames) == 1 {
		return cert.DNSNames[0]
	}
	return cert.Subject.CommonName
}

// addrOf is the peer's address; not valid if it is not TCP.
func addrOf(c netConn) netip.Addr { return addressOf(c.RemoteAddr()) }

// identify returns the identity of a client that names a user and can prove to
// have the private half of key.
func (g *gate) identify(name string, addr netip.Addr, key gossh.PublicKey) (identity, error) {
	user, ok := g.lookup(name)
	if !ok {
		return identity{}, errRefused
	}
	if cert, ok := key.(*gossh.Certificate); ok {
		return g.identifyCertificate(name, addr, cert)
	}
	id := identity{name: name, addr: addr, key: gossh.FingerprintSHA256(key), blob: string(key.Marshal())}
	if weakRSA(key) {
		return identity{}, errRefused
	}
	for _, line := range user.Keys {
		if k, ok := holds(line, id.blob); ok && k.Admits(addr, time.Now()) {
			id.line, id.rights = line, k
			return id, nil
		}
	}
	return identity{}, errRefused
}

// holds parses a line and reports whether it is that of the key. A line that
// cannot be parsed does not count: an option that is not enforced would be a
// hole.
func holds(line, blob string) (users.Key, bool) {
	k, err := users.ParseKey(line)
	if err != nil {
		return k, false
	}
	have, _, options, _, err := gossh.ParseAuthorizedKey([]byte(k.Bare))
	return k, err == nil && len(options) == 0 && string(have.Marshal()) == blob
}

func weakRSA(key gossh.PublicKey) bool {
	crypto, ok := key.(gossh.CryptoPublicKey)
	if !ok {
		return false
	}
	r, ok := crypto.CryptoPublicKey().(*rsa.PublicKey)
	return ok && r.N.BitLen() < minRSABits
}

// still reports whether an identity holds: the user exists, and the same proof
// would be accepted now, with the same rights.
func (g *gate) still(id identity) (users.User, bool) {
	user, ok := g.lookup(id.name)
	if !ok {
		return user, false
	}
	switch {
	case id.cert != nil:
		return user, g.vouched(id) == nil
	case id.peer != nil:
		return user, g.verify(*id.peer) == nil
	case id.blob == "":
		return user, user.Password == id.hash
	}
	return user, id.stands(user.Keys)
}

// stands reports whether one of the lines holds the key, with the same rights. It
// does not parse an unchanged line again: it is called before each command and
// every second.
func (id identity) stands(lines []string) bool {
	if slices.Contains(lines, id.line) && id.rights.Admits(id.addr, time.Now()) {
		return true
	}
	return slices.ContainsFunc(lines, func(line string) bool {
		k, ok := holds(line, id.blob)
		return ok && k.Admits(id.addr, time.Now()) && k.SameRights(id.rights)
	})
}

// keyChange tells why no line lets the key in any more.
func (id identity) keyChange(lines []string) string {
	for _, line := range lines {
		k, ok := holds(line, id.blob)
		switch {
		case !ok:
			continue
		case !k.Expires.IsZero() && !time.Now().Before(k.Expires):
			return "the key has expired"
		case !k.Admits(id.addr, time.Now()):
			return "the key may not be used from this address"
		}
		return "the options of the key were changed"
	}
	return "the key was removed"
}
