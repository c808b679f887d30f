package users

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Bounds of a password in bytes. bcrypt ignores everything after 72 bytes, so a
// longer password would match its beginning.
const (
	MaxPassword = 1024
	maxBcrypt   = 72
)

// Errors of a password that cannot be hashed or verified, for errors.Is.
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

// DummyHash is [Dummy] of a hash of [Hash].
func DummyHash() string {
	return argon2Hash{argon2Params: standard, salt: make([]byte, saltSize), key: make([]byte, keySize)}.String()
}

// Dummy returns a hash that costs as much as hash and that no known password
// matches. It is the same for all hashes of that kind and cost.
func Dummy(hash string) string {
	if isBcrypt(hash) && checkBcrypt(hash) == nil {
		return "$2b$" + hash[4:7] + strings.Repeat(".", bcryptSize-7)
	}
	h, err := parseArgon2(hash)
	if err != nil {
		return DummyHash()
	}
	clear(h.salt)
	clear(h.key)
	return h.String()
}

// Verify reports whether password matches hash. Its time depends only on the
// parameters of hash. The error is that of [CheckHash], or [ErrTooLong] for a
// password that this kind of hash cannot take; an empty password never matches.
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
	err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)[:min(len(password), maxBcrypt)])
	if len(password) > maxBcrypt { // no earlier, or the time would tell the kind of hash
		return false, fmt.Errorf("%w: bcrypt takes at most %d bytes", ErrTooLong, maxBcrypt)
	}
	if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, nil
	}
	return err == nil, err
}

func (h argon2Hash) derive(password string, size int) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, uint32(size))
}
