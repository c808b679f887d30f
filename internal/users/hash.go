package users

import (
	"crypto/rand"
	"errors"
	"fmt"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Bounds of a password in bytes. bcrypt ignores what comes after 72 bytes, so
// that a longer one would be equal to its beginning.
const (
	MaxPassword = 1024
	maxBcrypt   = 72
)

// Errors of a password that cannot be hashed or verified, to be matched with
// errors.Is.
var (
	ErrEmpty   = errors.New("empty password")
	ErrTooLong = errors.New("password too long")
)

// Parameters of new hashes: the first choice of the OWASP Password Storage
// Cheat Sheet, RFC 9106 §4 with less memory.
var standard = argon2Params{memory: 19456, time: 2, threads: 1}

// Sizes of new hashes in bytes.
const (
	saltSize = 16
	keySize  = 32
)

// Hash returns the argon2id hash of password in PHC form, with a random salt.
func Hash(password string) (string, error) {
	switch {
	case password == "":
		return "", ErrEmpty
	case len(password) > MaxPassword:
		return "", fmt.Errorf("%w: more than %d bytes", ErrTooLong, MaxPassword)
	}
	h := argon2Hash{argon2Params: standard, salt: make([]byte, saltSize)}
	rand.Read(h.salt) // never fails (crypto/rand)
	h.key = h.derive(password, keySize)
	return h.String(), nil
}

// DummyHash returns a hash that costs as much as those of [Hash] and that no
// password is known for. Verify against it for a user who does not exist or has
// no password, so that an answer takes as long as for others.
func DummyHash() string {
	return "$argon2id$v=19$m=19456,t=2,p=1$vrGDijlrNAt2cKDf+2uYOA$iICkCF00O8r0uapxK3BR863p1edNgsmnWOXyLYJ9tgg"
}

// Verify reports whether password is the one that hash was made of. The time
// that it takes tells nothing but the parameters of hash. The error is that of
// [CheckHash], or [ErrTooLong] for a password that the kind of hash cannot
// take; an empty password is never right.
func Verify(hash, password string) (bool, error) {
	switch {
	case password == "":
		return false, nil
	case len(password) > MaxPassword:
		return false, fmt.Errorf("%w: more than %d bytes", ErrTooLong, MaxPassword)
	case isBcrypt(hash):
		return verifyBcrypt(hash, password)
	}
	h, err := parseArgon2(hash)
	if err != nil {
		return false, CheckHash(hash)
	}
	return h.matches(password), nil
}

func verifyBcrypt(hash, password string) (bool, error) {
	if err := checkBcrypt(hash); err != nil {
		return false, err
	}
	if len(password) > maxBcrypt {
		return false, fmt.Errorf("%w: bcrypt takes at most %d bytes", ErrTooLong, maxBcrypt)
	}
	err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password))
	if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, nil
	}
	return err == nil, err
}

func (h argon2Hash) derive(password string, size int) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, uint32(size))
}
