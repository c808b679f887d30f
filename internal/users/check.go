package users

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// Bounds of the cost of a bcrypt hash.
const (
	minCost    = 10
	maxCost    = 14
	bcryptSize = 60
)

// advice ends each refusal of a hash.
const advice = `make one with "norestart user hash"`

// refused are the prefixes of hashes that are known and not accepted.
var refused = []struct{ prefix, what string }{
	{"$1$", "an md5-crypt hash"},
	{"$apr1$", "an md5-crypt hash of Apache"},
	{"$2x$", "a bcrypt hash of the broken kind 2x"},
	{"$5$", "a sha256-crypt hash"},
	{"$6$", "a sha512-crypt hash"},
	{"$y$", "a yescrypt hash"},
	{"$7$", "an scrypt hash"},
	{"$argon2i$", "an argon2i hash"},
	{"$argon2d$", "an argon2d hash"},
	{"$pbkdf2", "a pbkdf2 hash"},
	{"{", "an LDAP hash"},
}

// digests are the sizes in bytes of raw digests.
var digests = map[int]string{16: "md5", 20: "sha1", 32: "sha256", 64: "sha512"}

// CheckHash reports why [Verify] does not accept hash. It accepts argon2id in PHC
// form with m ≤ 262144 (256 MiB), t ≤ 10, p ≤ 16, and bcrypt ($2a$, $2b$, $2y$)
// with a cost from 10 to 14. The error repeats only parameters of hash, because
// hash may be a password in clear text.
func CheckHash(hash string) error {
	switch {
	case hash == "":
		return fmt.Errorf("empty; %s, or leave the line out", advice)
	case strings.HasPrefix(hash, argon2Prefix):
		if _, err := parseArgon2(hash); err != nil {
			return fmt.Errorf("%w; %s", err, advice)
		}
		return nil
	case isBcrypt(hash):
		return checkBcrypt(hash)
	}
	for _, r := range refused {
		if strings.HasPrefix(hash, r.prefix) {
			return fmt.Errorf("%s is not accepted; %s", r.what, advice)
		}
	}
	if name := digestName(hash); name != "" {
		return fmt.Errorf("a raw %s digest is not accepted; %s", name, advice)
	}
	return errors.New("clear text or an unknown kind of hash is not accepted; " + advice)
}

func isBcrypt(hash string) bool {
	return strings.HasPrefix(hash, "$2a$") || strings.HasPrefix(hash, "$2b$") || strings.HasPrefix(hash, "$2y$")
}

func checkBcrypt(hash string) error {
	cost, err := bcrypt.Cost([]byte(hash))
	const alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	if err != nil || len(hash) != bcryptSize || strings.Trim(hash[7:], alphabet) != "" {
		return errors.New("a broken bcrypt hash; " + advice)
	}
	if cost < minCost || cost > maxCost {
		return fmt.Errorf("bcrypt cost %d must be from %d to %d; %s", cost, minCost, maxCost, advice)
	}
	return nil
}

// digestName returns the name of the digest that s may be the text of.
func digestName(s string) string {
	if b, err := hex.DecodeString(s); err == nil && digests[len(b)] != "" {
		return digests[len(b)]
	}
	trimmed := strings.TrimRight(s, "=")
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if b, err := enc.DecodeString(trimmed); err == nil && digests[len(b)] != "" {
			return digests[len(b)]
		}
	}
	return ""
}
