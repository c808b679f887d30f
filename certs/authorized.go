package certs

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// minRSA is the size in bits below which an RSA key is refused
// (NIST SP 800-57: 128 bits of security).
const minRSA = 3072

// accepted are the types of keys with which users may log in.
var accepted = map[string]bool{
	ssh.KeyAlgoED25519:    true,
	ssh.KeyAlgoSKED25519:  true,
	ssh.KeyAlgoSKECDSA256: true,
	ssh.KeyAlgoECDSA256:   true,
	ssh.KeyAlgoECDSA384:   true,
	ssh.KeyAlgoECDSA521:   true,
	ssh.KeyAlgoRSA:        true,
}

// CheckAuthorizedKey reports why [ParseAuthorizedKey] refuses line.
func CheckAuthorizedKey(line string) error {
	_, _, err := ParseAuthorizedKey(line)
	return err
}

// ParseAuthorizedKey parses one line of an authorized_keys file (sshd(8),
// AUTHORIZED_KEYS FILE FORMAT), with no options before the key and nothing else
// in it. Unlike [ssh.ParseAuthorizedKey] it skips nothing: a comment, a broken
// line, DSA, RSA below 3072 bits and certificates are errors.
func ParseAuthorizedKey(line string) (key ssh.PublicKey, comment string, err error) {
	if err := checkLine(line); err != nil {
		return nil, "", err
	}
	key, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	switch {
	case err != nil:
		return nil, "", errors.New("not a public key in the form of authorized_keys: TYPE BASE64 [COMMENT]")
	case len(options) > 0:
		return nil, "", fmt.Errorf("there are options before the key: %q", strings.Join(options, ","))
	case len(rest) > 0:
		return nil, "", errors.New("more than one line")
	}
	return key, comment, checkKind(key)
}

func checkLine(line string) error {
	trimmed := strings.TrimSpace(line)
	switch {
	case trimmed == "" || trimmed[0] == '#':
		return errors.New("no key in the line")
	case strings.HasPrefix(trimmed, "-----BEGIN"):
		return errors.New("a private key: name the public one, FILE.pub")
	case strings.ContainsAny(line, "\r\n\x00"):
		return errors.New("more than one line")
	}
	return nil
}

func checkKind(key ssh.PublicKey) error {
	if !accepted[key.Type()] {
		return fmt.Errorf("a key of type %s is not accepted: make one with ssh-keygen -t ed25519", key.Type())
	}
	holder, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return nil
	}
	if r, ok := holder.CryptoPublicKey().(*rsa.PublicKey); ok && r.N.BitLen() < minRSA {
		return fmt.Errorf("an RSA key of %d bits is not accepted, must be at least %d: make one with ssh-keygen -t ed25519",
			r.N.BitLen(), minRSA)
	}
	return nil
}
