package adminport

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"math/big"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/internal/users"
)

// securityKey signs as a FIDO authenticator does (PROTOCOL.u2f of OpenSSH).
type securityKey struct {
	public gossh.PublicKey
	format string
	flags  byte // 1: it was touched; 4: a PIN was entered
	sign   func(digest []byte) ([]byte, error)
}

func (k securityKey) PublicKey() gossh.PublicKey { return k.public }

const skApplication = "ssh:"

func (k securityKey) Sign(_ io.Reader, data []byte) (*gossh.Signature, error) {
	app, message := sha256.Sum256([]byte(skApplication)), sha256.Sum256(data)
	blob := gossh.Marshal(struct {
		App     [32]byte
		Flags   byte
		Counter uint32
		Message [32]byte
	}{app, k.flags, 7, message})
	sig, err := k.sign(blob)
	if err != nil {
		return nil, err
	}
	rest := gossh.Marshal(struct {
		Flags   byte
		Counter uint32
	}{k.flags, 7})
	return &gossh.Signature{Format: k.format, Blob: sig, Rest: rest}, nil
}

func skED25519(t *testing.T, flags byte) securityKey {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := gossh.ParsePublicKey(gossh.Marshal(struct {
		Name string
		Key  []byte
		App  string
	}{gossh.KeyAlgoSKED25519, public, skApplication}))
	if err != nil {
		t.Fatal(err)
	}
	return securityKey{key, gossh.KeyAlgoSKED25519, flags, func(blob []byte) ([]byte, error) {
		return ed25519.Sign(private, blob), nil
	}}
}

func skECDSA(t *testing.T, flags byte) securityKey {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := private.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	key, err := gossh.ParsePublicKey(gossh.Marshal(struct {
		Name, Curve string
		Key         []byte
		App         string
	}{gossh.KeyAlgoSKECDSA256, "nistp256", point, skApplication}))
	if err != nil {
		t.Fatal(err)
	}
	return securityKey{key, gossh.KeyAlgoSKECDSA256, flags, func(blob []byte) ([]byte, error) {
		digest := sha256.Sum256(blob)
		r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
		if err != nil {
			return nil, err
		}
		return gossh.Marshal(struct{ R, S *big.Int }{r, s}), nil
	}}
}

// A program on the user's machine signs with his security key while he is not
// there: without a touch the signature must be worth nothing, neither by the
// key nor by a certificate for it. verify-required, which would ask for a PIN as
// well, cannot be checked and so is no line of a key (C5).
func TestC5_security_keys(t *testing.T) {
	f, ca := withCA(t)
	const touched, pin = 1, 4
	for _, tt := range []struct {
		name string
		key  func(*testing.T, byte) securityKey
		flag byte
		ok   bool
	}{
		{"ed25519, touched", skED25519, touched, true},
		{"ed25519, touched and a PIN", skED25519, touched | pin, true},
		{"ed25519, not touched", skED25519, 0, false},
		{"ed25519, a PIN and no touch", skED25519, pin, false},
		{"ecdsa, touched", skECDSA, touched, true},
		{"ecdsa, not touched", skECDSA, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			key := tt.key(t, tt.flag)
			f.users.set(users.User{Name: "viola", Role: "viewer", Keys: []string{authorizedKey(key)}})
			if err := f.try(f.withKey("viola", key)); (err == nil) != tt.ok {
				t.Errorf("by the key: %v", err)
			}
			f.users.set(users.User{Name: "viola", Role: "viewer"})
			if err := f.try(f.withKey("viola", certificate(t, ca, key, nil))); (err == nil) != tt.ok {
				t.Errorf("by a certificate: %v", err)
			}
			f.users.set(users.User{Name: "viola", Role: "viewer", Keys: []string{"verify-required " + authorizedKey(key)}})
			if err := f.try(f.withKey("viola", key)); err == nil {
				t.Error("by a line with verify-required: logged in")
			}
			f.forgive()
		})
	}
}
