package users

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// User is a person or a program that may log in.
type User struct {
	Name     string   // [a-z_][a-z0-9_.-]{0,31}
	Role     string   // viewer, operator or admin
	Password string   // hash in PHC form or of bcrypt; empty: no login by password
	Keys     []string // authorized_keys lines, see [ParseKey]; none: no login by key
	// Allow, when not empty, lists the only commands that the user may run.
	// Deny lists commands that the user may not run although the role allows
	// them. Both are patterns as in commandline.ParseLimits.
	Allow, Deny []string
}

// CheckKey reports why a line TYPE BASE64 [COMMENT] is not a public key that may
// log in. It is injected because this package does not know ssh; nil refuses
// every key.
type CheckKey func(line string) error

// maxKeyLine is the length in bytes of the longest key line: an RSA key of
// 16384 bits, the largest that OpenSSH makes, takes 2.8 kB.
const maxKeyLine = 8 << 10

var roles = []string{"viewer", "operator", "admin"}

// CheckName reports why name may not be the name of a user. It has no regular
// expression, which every process of the application would compile at its start.
func CheckName(name string) error {
	ok := name != "" && len(name) <= 32
	for i, r := range name {
		switch {
		case r >= 'a' && r <= 'z', r == '_':
		case i > 0 && (r >= '0' && r <= '9' || r == '.' || r == '-'):
		default:
			ok = false
		}
	}
	if !ok {
		return fmt.Errorf("user name %q: must be at most 32 of a-z 0-9 _ . - and begin with a letter or _", name)
	}
	return nil
}

// CheckRole reports why role is not a role.
func CheckRole(role string) error {
	switch {
	case slices.Contains(roles, role):
		return nil
	case role == "":
		return fmt.Errorf("no role: must be one of %s", strings.Join(roles, ", "))
	default:
		return fmt.Errorf("unknown role %q: must be one of %s", role, strings.Join(roles, ", "))
	}
}

// Line reports why line may not stand among the keys of a user.
func (check CheckKey) Line(line string) error {
	switch {
	case check == nil:
		return errors.New("no keys are accepted here")
	case len(line) > maxKeyLine:
		return fmt.Errorf("longer than %d bytes", maxKeyLine)
	case !utf8.ValidString(line) || strings.ContainsFunc(line, unicode.IsControl):
		return errors.New("control characters or invalid UTF-8 in the line")
	}
	key, err := ParseKey(line)
	if err != nil {
		return err
	}
	return check(key.Bare)
}

// Bounds of a list of patterns.
const (
	maxPatterns = 256
	maxPattern  = 256 // bytes
)

// CheckPatterns reports why the patterns cannot stand in allow or deny.
func CheckPatterns(patterns []string) error {
	if len(patterns) > maxPatterns {
		return fmt.Errorf("more than %d patterns", maxPatterns)
	}
	for i, p := range patterns {
		if err := checkPattern(p); err != nil {
			return fmt.Errorf("pattern %d: %w", i+1, err)
		}
	}
	return nil
}

func checkPattern(p string) error {
	switch {
	case strings.TrimSpace(p) == "":
		return errors.New(`empty: write the words of a command, as in "worker info *"`)
	case len(p) > maxPattern:
		return fmt.Errorf("longer than %d bytes", maxPattern)
	case !utf8.ValidString(p) || strings.ContainsFunc(p, unicode.IsControl):
		return errors.New("control characters or invalid UTF-8")
	}
	return nil
}

// validate reports what is wrong with u.
func (u User) validate(check CheckKey) error {
	if err := CheckName(u.Name); err != nil {
		return err
	}
	if err := CheckRole(u.Role); err != nil {
		return fmt.Errorf("user %s: %w", u.Name, err)
	}
	if u.Password != "" {
		if err := CheckHash(u.Password); err != nil {
			return fmt.Errorf("user %s: password: %w", u.Name, err)
		}
	}
	for _, list := range []struct {
		name     string
		patterns []string
	}{{"allow", u.Allow}, {"deny", u.Deny}} {
		if err := CheckPatterns(list.patterns); err != nil {
			return fmt.Errorf("user %s: %s: %w", u.Name, list.name, err)
		}
	}
	for i, line := range u.Keys {
		if err := check.Line(line); err != nil {
			return fmt.Errorf("user %s: key %d: %w", u.Name, i+1, err)
		}
	}
	return nil
}

func (u User) clone() User {
	u.Keys, u.Allow, u.Deny = slices.Clone(u.Keys), slices.Clone(u.Allow), slices.Clone(u.Deny)
	return u
}
