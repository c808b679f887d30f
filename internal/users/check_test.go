package users

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
)

const (
	salt16 = "vrGDijlrNAt2cKDf+2uYOA"
	key32  = "iICkCF00O8r0uapxK3BR863p1edNgsmnWOXyLYJ9tgg"
)

func TestCheckHashAccepts(t *testing.T) {
	for _, hash := range []string{
		secret2a, secret2b, secret2y, phc256, phc65536, DummyHash(),
		strings.Replace(secret2b, "$10$", "$14$", 1),
		"$argon2id$v=19$m=262144,t=10,p=16$" + salt16 + "$" + key32,
		"$argon2id$v=19$m=8,t=1,p=1$" + salt16 + "$" + key32,
	} {
		if err := CheckHash(hash); err != nil {
			t.Errorf("%s: %v", hash, err)
		}
	}
}

func TestCheckHashRefuses(t *testing.T) {
	md, s1, s256, s512 := md5.Sum(nil), sha1.Sum(nil), sha256.Sum256(nil), sha512.Sum512(nil)
	for _, test := range []struct{ hash, want string }{
		{"", "empty"},
		{"hunter2", "clear text"},
		{"$9$foo", "clear text or an unknown kind"},
		{"$1$salt$hash", "md5-crypt"},
		{"$apr1$salt$hash", "Apache"},
		{"$5$salt$hash", "sha256-crypt"},
		{"$6$salt$hash", "sha512-crypt"},
		{"$y$j9T$salt$hash", "yescrypt"},
		{"{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "LDAP"},
		{"$2x$10$abcdefghijklmnopqrstuuqflPDzB6gcMhKa1rZqKiun2YGL5sa2u", "2x"},
		{"$argon2i$v=19$m=256,t=2,p=1$" + salt16 + "$" + key32, "argon2i "},
		{"$argon2d$v=19$m=256,t=2,p=1$" + salt16 + "$" + key32, "argon2d "},

		{hex.EncodeToString(md[:]), "raw md5"},
		{hex.EncodeToString(s1[:]), "raw sha1"},
		{hex.EncodeToString(s256[:]), "raw sha256"},
		{strings.ToUpper(hex.EncodeToString(s512[:])), "raw sha512"},
		{base64.StdEncoding.EncodeToString(md[:]), "raw md5"},
		{base64.RawStdEncoding.EncodeToString(s1[:]), "raw sha1"},
		{base64.URLEncoding.EncodeToString(s256[:]), "raw sha256"},
		{base64.StdEncoding.EncodeToString(s512[:]), "raw sha512"},

		{strings.Replace(secret2b, "$10$", "$09$", 1), "bcrypt cost 9"},
		{strings.Replace(secret2b, "$10$", "$15$", 1), "bcrypt cost 15"},
		{strings.Replace(secret2b, "$10$", "$xx$", 1), "broken bcrypt"},
		{secret2b + "u", "broken bcrypt"},
		{secret2b[:59], "broken bcrypt"},
		{secret2b[:30] + "$" + secret2b[31:], "broken bcrypt"},

		{"$argon2id$v=16$m=256,t=2,p=1$" + salt16 + "$" + key32, "version"},
		{"$argon2id$m=256,t=2,p=1$" + salt16 + "$" + key32, "not of the form"},
		{"$argon2id$v=19$m=262145,t=2,p=1$" + salt16 + "$" + key32, "m=262145 must be from 8 to 262144"},
		{"$argon2id$v=19$m=99999999999999,t=2,p=1$" + salt16 + "$" + key32, "m=99999999999999"},
		{"$argon2id$v=19$m=4294967552,t=2,p=1$" + salt16 + "$" + key32, "m=4294967552"}, // 2^32 + 256
		{"$argon2id$v=19$m=15,t=2,p=2$" + salt16 + "$" + key32, "m=15 must be from 16"},
		{"$argon2id$v=19$m=256,t=11,p=1$" + salt16 + "$" + key32, "t=11 must be from 1 to 10"},
		{"$argon2id$v=19$m=256,t=0,p=1$" + salt16 + "$" + key32, "t=0"},
		{"$argon2id$v=19$m=256,t=2,p=17$" + salt16 + "$" + key32, "p=17"},
		{"$argon2id$v=19$m=256,t=2,p=257$" + salt16 + "$" + key32, "p=257"},
		{"$argon2id$v=19$m=0256,t=2,p=1$" + salt16 + "$" + key32, "m= is not a number"},
		{"$argon2id$v=19$m=+256,t=2,p=1$" + salt16 + "$" + key32, "m= is not a number"},
		{"$argon2id$v=19$t=2,m=256,p=1$" + salt16 + "$" + key32, "is not a number"},
		{"$argon2id$v=19$m=256,t=2$" + salt16 + "$" + key32, "parameters"},
		{"$argon2id$v=19$m=256,t=2,p=1$$" + key32, "salt has 0 bytes"},
		{"$argon2id$v=19$m=256,t=2,p=1$" + salt16 + "$c2hvcnQ", "hash has 5 bytes"},
		{"$argon2id$v=19$m=256,t=2,p=1$" + salt16 + "==$" + key32, "salt is not base64"},
		{"$argon2id$v=19$m=256,t=2,p=1$" + salt16 + "$" + key32[:42] + "h", "hash is not base64"}, // loose bits
		{"$argon2id$v=19$m=256,t=2,p=1$" + salt16 + "$" + key32 + "\n", "hash is not base64"},
		{"$argon2id$v=19$m=256,t=2,p=1$" + salt16 + "$" + key32 + "$", "not of the form"},
	} {
		err := CheckHash(test.hash)
		if err == nil {
			t.Errorf("%q: accepted", test.hash)
			continue
		}
		if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "norestart user hash") {
			t.Errorf("%q: %q does not say %q and the command", test.hash, err, test.want)
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: more than a line: %q", test.hash, err)
		}
	}
}

// What is in the place of a hash may be a password.
func TestCheckHashTellsNothing(t *testing.T) {
	for _, hash := range []string{"hunter2", "$1$hunter2", "$2b$hunter2", "$argon2id$hunter2", "$argon2id$v=19$m=hunter2,t=1,p=1$a$b", "{hunter2}"} {
		if err := CheckHash(hash); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", hash, err)
		}
	}
}

func FuzzCheckHash(f *testing.F) {
	for _, seed := range []string{secret2b, phc256, "$argon2id$v=19$m=,t=,p=$$", "$2y$99$", "{SHA}", "$$$$$", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if CheckHash(s) != nil || !strings.HasPrefix(s, argon2Prefix) {
			return
		}
		h, err := parseArgon2(s)
		if err != nil || h.String() != s {
			t.Errorf("%q is accepted and means %q, %v", s, h, err)
		}
		if h.memory > maxMemory || h.time > maxTime || h.threads > maxThreads {
			t.Errorf("%q costs too much", s)
		}
	})
}

func TestCheckName(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "_": true, "viola": true, "a.b-c_9": true, strings.Repeat("a", 32): true,
		"": false, "9a": false, ".a": false, "-a": false, "A": false, "a b": false, "a\n": false, "ä": false, "a\xff": false, strings.Repeat("a", 33): false,
	} {
		if err := CheckName(name); (err == nil) != want {
			t.Errorf("%q: %v, want it to be good: %v", name, err, want)
		}
	}
}
