package adminport

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/users"
)

// Critical options and extensions of certificates (PROTOCOL.certkeys of
// OpenSSH).
const (
	forceCommand    = "force-command"
	sourceAddress   = "source-address"
	permitPty       = "permit-pty"
	noTouchRequired = "no-touch-required"
)

// authority is a store of users that also knows the trusted CAs of ssh
// certificates.
type authority interface{ CA() users.CA }

// certificateError is why an ssh certificate is refused. The audit log has it;
// the client does not read it.
type certificateError struct {
	why    string
	signed bool // by a CA of ours: not a stranger
}

func (e *certificateError) Error() string { return "certificate: " + e.why }

func badCertificate(format string, args ...any) error {
	return &certificateError{why: fmt.Sprintf(format, args...), signed: true}
}

// worthTelling reports whether a login that failed with err is for the audit log:
// always for a certificate of ours, whose holder may ask why; once a minute for a
// stranger's.
func (c *conn) worthTelling(err error) bool {
	e, ok := errors.AsType[*certificateError](err)
	return ok && !c.refused.Swap(true) && (e.signed || c.srv.gate.limits.mayLog(c.RemoteAddr()))
}

func (g *gate) identifyCertificate(name string, addr netip.Addr, cert *gossh.Certificate) (identity, error) {
	id := identity{name: name, addr: addr, cert: cert, key: gossh.FingerprintSHA256(cert.Key)}
	id.rights.Command, id.rights.Forced = cert.CriticalOptions[forceCommand]
	_, terminal := cert.Extensions[permitPty]
	id.rights.NoPty = !terminal
	switch {
	case !signedBy(g.authority(), cert):
		return identity{}, &certificateError{why: "the CA " + gossh.FingerprintSHA256(cert.SignatureKey) + " is not in [ssh_ca]"}
	case !signatureHolds(cert):
		return identity{}, &certificateError{why: "its signature is not that of the CA"}
	}
	if err := g.vouched(id); err != nil {
		return identity{}, err
	}
	checker := gossh.CertChecker{SupportedCriticalOptions: []string{forceCommand, sourceAddress}}
	if err := checker.CheckCert(name, cert); err != nil { // once more, by x/crypto
		return identity{}, badCertificate("%s", audit.Quote(err.Error()))
	}
	return id, nil
}

func (g *gate) authority() users.CA {
	if a, ok := g.users.(authority); ok {
		return a.CA()
	}
	return users.CA{}
}

// signatureHolds reports whether the certificate's CA has signed it. x/crypto has
// no function for that alone, so everything else is granted.
func signatureHolds(cert *gossh.Certificate) bool {
	checker := gossh.CertChecker{
		SupportedCriticalOptions: slices.Collect(maps.Keys(cert.CriticalOptions)),
		Clock:                    func() time.Time { return time.Unix(int64(cert.ValidAfter), 0) },
	}
	principal := ""
	if len(cert.ValidPrincipals) > 0 {
		principal = cert.ValidPrincipals[0]
	}
	return checker.CheckCert(principal, cert) == nil
}

// vouched reports why the certificate of an identity is not accepted now. It
// checks all but the signature, which does not change: this runs each second.
func (g *gate) vouched(id identity) error {
	cert, ca := id.cert, g.authority()
	switch {
	case cert.CertType != gossh.UserCert:
		return badCertificate("not one of a user")
	case !signedBy(ca, cert):
		return badCertificate("the CA %s is not in [ssh_ca]", gossh.FingerprintSHA256(cert.SignatureKey))
	case cert.Signature == nil || cert.Signature.Format == gossh.KeyAlgoRSA:
		return badCertificate("signed with SHA-1")
	case weakRSA(cert.Key):
		return badCertificate("an RSA key below %d bits", minRSABits)
	case ca.Revoked(cert.Serial, cert.KeyId):
		return badCertificate("%s, serial %d: revoked", audit.Quote(cert.KeyId), cert.Serial)
	case len(cert.ValidPrincipals) == 0: // x/crypto takes it for anybody's
		return badCertificate("it names no principal")
	case !slices.Contains(cert.ValidPrincipals, id.name):
		return badCertificate("%s is not among its principals", audit.Quote(id.name))
	}
	if err := inTime(cert, time.Now()); err != nil {
		return err
	}
	return checkOptions(id)
}

func signedBy(ca users.CA, cert *gossh.Certificate) bool {
	if cert.SignatureKey == nil {
		return false
	}
	want := string(cert.SignatureKey.Marshal())
	return slices.ContainsFunc(ca.Keys, func(line string) bool {
		key, _, options, _, err := gossh.ParseAuthorizedKey([]byte(line))
		return err == nil && len(options) == 0 && string(key.Marshal()) == want
	})
}

// inTime reports whether the certificate is valid now: from its first second,
// before its last.
func inTime(cert *gossh.Certificate, now time.Time) error {
	unix := uint64(max(now.Unix(), 0))
	switch {
	case unix < cert.ValidAfter:
		return badCertificate("not valid yet")
	case cert.ValidBefore != gossh.CertTimeInfinity && unix >= cert.ValidBefore:
		return badCertificate("expired")
	}
	return nil
}

// checkOptions enforces the options of the certificate. An unknown critical
// option is refused, as the word says.
func checkOptions(id identity) error {
	for name, value := range id.cert.CriticalOptions {
		switch name {
		case forceCommand:
			if value == "" {
				return badCertificate("force-command is empty")
			}
		case sourceAddress:
			from, err := users.ParseSources(value)
			if err != nil {
				return badCertificate("source-address: %v", err)
			}
			if !from.Match(id.addr) {
				return badCertificate("not good from %v", id.addr)
			}
		default:
			return badCertificate("critical option %s is not known here", audit.Quote(name))
		}
	}
	if _, ok := id.cert.Extensions[noTouchRequired]; ok {
		return badCertificate("it does not require touch")
	}
	return nil
}
