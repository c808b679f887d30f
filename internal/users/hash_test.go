package users

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// Hashes by others: libxcrypt (bcrypt) and the reference implementation of
// argon2 (phc-winner-argon2, test.c).
const (
	secret2b = "$2b$10$abcdefghijklmnopqrstuuqflPDzB6gcMhKa1rZqKiun2YGL5sa2u"
	secret2y = "$2y$10$abcdefghijklmnopqrstuuqflPDzB6gcMhKa1rZqKiun2YGL5sa2u"
	secret2a = "$2a$10$abcdefghijklmnopqrstuuqflPDzB6gcMhKa1rZqKiun2YGL5sa2u"
	phc256   = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	phc65536 = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
)

func TestVerify(t *testing.T) {
	long := strings.Repeat("x", 73)
	for _, test := range []struct {
		name, hash, password string
		want                 bool
		err                  error
	}{
		{"argon2id", phc256, "password", true, nil},
		{"argon2id, wrong", phc256, "Password", false, nil},
		{"argon2id, long", phc256, long, false, nil},
		{"argon2id, too long", phc256, strings.Repeat("x", MaxPassword+1), false, ErrTooLong},
		{"argon2id, empty", phc256, "", false, nil},
		{"2a", secret2a, "secret", true, nil},
		{"2b", secret2b, "secret", true, nil},
		{"2y", secret2y, "secret", true, nil},
		{"2b, wrong and at the limit", secret2b, long[1:], false, nil},
		{"2b, over the limit", secret2b, long, false, ErrTooLong},
		{"nobody's", DummyHash(), "password", false, nil},
	} {
		got, err := Verify(test.hash, test.password)
		if got != test.want || !errors.Is(err, test.err) {
			t.Errorf("%s: %v, %v; want %v, %v", test.name, got, err, test.want, test.err)
		}
	}
}

func TestVerifyRefusesHash(t *testing.T) {
	for _, hash := range []string{"", "secret", "$argon2id$", "$2b$10$", "$6$abc$def"} {
		if ok, err := Verify(hash, "secret"); ok || err == nil {
			t.Errorf("%q: %v, %v", hash, ok, err)
		}
	}
}

func TestHash(t *testing.T) {
	const password = "correct horse"
	first, err := Hash(password)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Hash(password)
	if err != nil {
		t.Fatal(err)
	}
	if first == second {
		t.Error("the same salt twice")
	}
	if err := CheckHash(first); err != nil {
		t.Errorf("%s: %v", first, err)
	}
	if ok, err := Verify(first, password); !ok || err != nil {
		t.Errorf("its own password: %v, %v", ok, err)
	}
	if ok, err := Verify(first, "correct horsE"); ok || err != nil {
		t.Errorf("another password: %v, %v", ok, err)
	}
	a, err := parseArgon2(first)
	if err != nil || len(a.salt) != saltSize || len(a.key) != keySize {
		t.Errorf("%s: %v", first, err)
	}
}

func TestHashRefuses(t *testing.T) {
	if _, err := Hash(""); !errors.Is(err, ErrEmpty) {
		t.Errorf("empty: %v", err)
	}
	if _, err := Hash(strings.Repeat("x", MaxPassword+1)); !errors.Is(err, ErrTooLong) {
		t.Errorf("long: %v", err)
	}
}

// An unknown user must take as long as a known one.
func TestDummyHashCosts(t *testing.T) {
	dummy, err := parseArgon2(DummyHash())
	if err != nil {
		t.Fatal(err)
	}
	if dummy.argon2Params != standard || len(dummy.salt) != saltSize || len(dummy.key) != keySize {
		t.Errorf("got %+v, want %+v", dummy.argon2Params, standard)
	}
}

// A dummy costs what the hash costs, whatever its salt and key, and is a hash.
func TestDummy(t *testing.T) {
	other := strings.Replace(phc256, "c29tZXNhbHQ", "b3RoZXJzYWx0", 1)
	for _, hash := range []string{secret2a, secret2y, phc256, phc65536, DummyHash()} {
		dummy := Dummy(hash)
		if err := CheckHash(dummy); err != nil || Dummy(dummy) != dummy {
			t.Errorf("%s: %s: %v", hash, dummy, err)
		}
	}
	for hash, password := range map[string]string{secret2b: "secret", phc256: "password"} {
		if ok, err := Verify(Dummy(hash), password); ok || err != nil {
			t.Errorf("%s fits the dummy: %v, %v", password, ok, err)
		}
	}
	if Dummy(secret2a) != Dummy(secret2y) || Dummy(phc256) == Dummy(phc65536) || Dummy(other) == Dummy(phc65536) {
		t.Error("dummies do not go by kind and cost")
	}
	if cost, err := bcrypt.Cost([]byte(Dummy("$2y$13" + secret2y[6:]))); cost != 13 || err != nil {
		t.Errorf("cost of the dummy: %d, %v", cost, err)
	}
}
