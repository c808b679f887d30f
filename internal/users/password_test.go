package users

import (
	"errors"
	"strings"
	"testing"
)

// hash asks for all memory and for minutes; what stands in the file is no hash
// but the password, which must not be repeated. All of it is refused in words
// that name the command that makes a good one.
func TestC7_password_hash(t *testing.T) {
	long := strings.Repeat("x", 73)
	if ok, err := Verify(secret2y, long); ok || !errors.Is(err, ErrTooLong) {
		t.Errorf("73 bytes on bcrypt: %v, %v", ok, err)
	}
	for name, hash := range map[string]string{
		"clear text":   "hunter2 and more",
		"memory":       "$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
		"bcrypt 31":    "$2y$31$" + strings.Repeat("a", 53),
		"sha512-crypt": "$6$salt$" + strings.Repeat("a", 86),
	} {
		_, err := Parse("users.toml", "[user.viola]\nrole = 'viewer'\npassword = '"+hash+"'\n", anyKey)
		if err == nil || !strings.Contains(err.Error(), "users.toml:3: user viola: password: ") || !strings.Contains(err.Error(), "norestart user hash") {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: repeated: %v", name, err)
		}
		if ok, err := Verify(hash, "hunter2 and more"); ok || err == nil {
			t.Errorf("%s: verified: %v, %v", name, ok, err)
		}
	}
	if _, err := Parse("users.toml", "[user.viola]\nrole = 'viewer'\npassword = '"+secret2y+"'\n", anyKey); err != nil {
		t.Errorf("$2y$: %v", err)
	}
}
