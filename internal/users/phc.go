package users

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Bounds of an argon2id hash. A hash in the file must not be able to take the
// machine's memory or time at each login.
const (
	maxMemory  = 256 << 10 // KiB
	maxTime    = 10
	maxThreads = 16
	minSalt    = 8 // bytes; RFC 9106 §3.1
	maxSalt    = 64
	minKey     = 16
	maxKey     = 64
)

// argon2Params is what an argon2id hash costs.
type argon2Params struct {
	memory  uint32
	time    uint32 // passes
	threads uint8
}

// argon2Hash is a hash in PHC form, taken apart:
// $argon2id$v=19$m=19456,t=2,p=1$SALT$KEY (github.com/P-H-C/phc-string-format).
type argon2Hash struct {
	argon2Params
	salt, key []byte
}

const argon2Prefix = "$argon2id$"

func (h argon2Hash) String() string {
	enc := base64.RawStdEncoding
	return fmt.Sprintf("%sv=19$m=%d,t=%d,p=%d$%s$%s", argon2Prefix,
		h.memory, h.time, h.threads, enc.EncodeToString(h.salt), enc.EncodeToString(h.key))
}

func (h argon2Hash) matches(password string) bool {
	return subtle.ConstantTimeCompare(h.key, h.derive(password, len(h.key))) == 1
}

func parseArgon2(s string) (argon2Hash, error) {
	var h argon2Hash
	rest, ok := strings.CutPrefix(s, argon2Prefix)
	fields := strings.Split(rest, "$")
	if !ok || len(fields) != 4 {
		return h, errors.New("not of the form $argon2id$v=19$m=…,t=…,p=…$SALT$HASH")
	}
	if fields[0] != "v=19" {
		return h, errors.New("argon2id of a version other than 19")
	}
	var err error
	if h.argon2Params, err = parseParams(fields[1]); err != nil {
		return h, err
	}
	if h.salt, err = decode("salt", fields[2], minSalt, maxSalt); err != nil {
		return h, err
	}
	h.key, err = decode("hash", fields[3], minKey, maxKey)
	return h, err
}

func parseParams(s string) (argon2Params, error) {
	var p argon2Params
	fields := strings.Split(s, ",")
	if len(fields) != 3 {
		return p, errors.New("parameters must be m=…,t=…,p=…")
	}
	threads, err := parseParam(fields[2], "p=", 1, maxThreads)
	if err != nil {
		return p, err
	}
	p.threads = uint8(threads)
	if p.time, err = parseParam(fields[1], "t=", 1, maxTime); err != nil {
		return p, err
	}
	p.memory, err = parseParam(fields[0], "m=", 8*threads, maxMemory)
	return p, err
}

func parseParam(s, name string, least, most uint32) (uint32, error) {
	digits, ok := strings.CutPrefix(s, name)
	n, err := strconv.ParseUint(digits, 10, 64)
	// The digits must be in canonical form, without leading zeros.
	if !ok || err != nil || strconv.FormatUint(n, 10) != digits {
		return 0, fmt.Errorf("argon2id parameter %s is not a number", name)
	}
	if n < uint64(least) || n > uint64(most) {
		return 0, fmt.Errorf("argon2id parameter %s%d must be from %d to %d", name, n, least, most)
	}
	return uint32(n), nil
}

func decode(what, s string, least, most int) ([]byte, error) {
	b, err := base64.RawStdEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return nil, fmt.Errorf("argon2id %s is not base64 without padding", what)
	}
	if len(b) < least || len(b) > most {
		return nil, fmt.Errorf("argon2id %s has %d bytes, must be from %d to %d", what, len(b), least, most)
	}
	return b, nil
}
