package shell

import (
	"crypto/rsa"
	"crypto/tls"
	"fmt"
	"net/netip"
	"slices"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/users"
)

const minRSABits = 3072

// identity is who has logged in, and by what: exactly one of hash, blob, cert
// and peer is set, but for local callers, who have none.
type identity struct {
	name string
	addr netip.Addr // of the peer
	key  string     // fingerprint of the key; empty: by password

	hash string               // of the password
	blob string               // a plain ssh key, in the form of the wire
	cert *gossh.Certificate   // an ssh certificate
	peer *tls.ConnectionState // a certificate of TLS

	line   string    // of users.toml, with the plain key
	rights users.Key // what the key lets do; the zero one: all that the user may
	asked  string    // what a forced command took the place of
}

// identityKey is where an identity lies in Permissions.ExtraData, the only
// place that it is read from.
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

// reason is what the audit log says of how the identity was proved.
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

// addrOf is the address that a connection comes from; not valid if it is none
// of TCP.
func addrOf(c netConn) netip.Addr {
	if tcp, ok := c.RemoteAddr().(interface{ AddrPort() netip.AddrPort }); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// identify tells who name is if he has the private half of key.
func (s *Server) identify(name string, addr netip.Addr, key gossh.PublicKey) (identity, error) {
	user, ok := s.lookup(name)
	if !ok {
		return identity{}, errRefused
	}
	if cert, ok := key.(*gossh.Certificate); ok {
		return s.identifyCertificate(name, addr, cert)
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

// holds takes a line apart and reports whether the key is its. One that cannot
// be understood counts for nothing: an option that is not enforced would be a
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

// still reports whether an identity holds: the user is there, and what he came
// with would let him in now, with the same rights.
func (s *Server) still(id identity) (users.User, bool) {
	user, ok := s.lookup(id.name)
	if !ok {
		return user, false
	}
	switch {
	case id.cert != nil:
		return user, s.vouched(id) == nil
	case id.peer != nil:
		return user, s.host.TLS.VerifyConnection(*id.peer) == nil
	case id.blob == "":
		return user, user.Password == id.hash
	}
	return user, id.stands(user.Keys)
}

// stands reports whether one of the lines holds the key, with the same rights.
// The line that let it in needs not be taken apart again: this is asked before
// each command, and every second.
func (id identity) stands(lines []string) bool {
	if slices.Contains(lines, id.line) && id.rights.Admits(id.addr, time.Now()) {
		return true
	}
	return slices.ContainsFunc(lines, func(line string) bool {
		k, ok := holds(line, id.blob)
		return ok && k.Admits(id.addr, time.Now()) && k.SameRights(id.rights)
	})
}
