package users

import (
	"errors"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"
)

// CA is the table [ssh_ca]: the authorities whose ssh certificates are
// accepted. A certificate lets in the user that it names as a principal, with
// that user's role in the file.
//
//	[ssh_ca]
//	keys = ["ssh-ed25519 AAAA… the company's CA"]
//	revoked_serials = [17, 18]
//	revoked_ids = ["viola's old laptop"]
type CA struct {
	Keys           []string // TYPE BASE64 [COMMENT]; none: no certificate is accepted
	RevokedSerials []uint64
	RevokedIDs     []string // key ids, ssh-keygen -I
}

// Revoked reports whether a certificate was revoked.
func (c CA) Revoked(serial uint64, id string) bool {
	return slices.Contains(c.RevokedSerials, serial) || slices.Contains(c.RevokedIDs, id)
}

func (c CA) clone() CA {
	return CA{slices.Clone(c.Keys), slices.Clone(c.RevokedSerials), slices.Clone(c.RevokedIDs)}
}

func (c CA) equal(other CA) bool {
	return slices.Equal(c.Keys, other.Keys) && slices.Equal(c.RevokedSerials, other.RevokedSerials) &&
		slices.Equal(c.RevokedIDs, other.RevokedIDs)
}

func (f *File) CA() CA { return f.ca.clone() }

func (f *File) setCA(top node) error {
	if _, ok := top.Value.(map[string]any); !ok {
		return f.doc.errorf(f.doc.Line(top), "ssh_ca: must be a table, [ssh_ca]")
	}
	for _, n := range f.doc.Fields(top) {
		var err error
		switch n.Name {
		case "keys":
			f.ca.Keys, err = f.doc.lines(n, "key", f.check.authority)
		case "revoked_serials":
			f.ca.RevokedSerials, err = serials(n.Value)
		case "revoked_ids":
			f.ca.RevokedIDs, err = f.doc.lines(n, "revoked id", checkID)
		default:
			return f.doc.errorf(f.doc.Line(n), "ssh_ca: unknown field %q", n.Name)
		}
		if err != nil {
			return f.doc.explain(n, "ssh_ca", err)
		}
	}
	if len(f.ca.Keys) == 0 {
		return f.doc.errorf(f.doc.Line(top), "ssh_ca: no keys: name the public key of the CA")
	}
	return nil
}

// authority checks the key of a CA.
func (check CheckKey) authority(line string) error {
	if key, err := ParseKey(line); err == nil && key.Bare != line {
		return errors.New("the key of a CA has no options and no blanks around it")
	}
	return check.Line(line)
}

func serials(value any) ([]uint64, error) {
	list, ok := value.([]any)
	if !ok {
		return nil, errors.New("must be a list of numbers")
	}
	numbers := make([]uint64, 0, len(list))
	for _, v := range list {
		n, ok := v.(int64)
		switch {
		case !ok || n < 0:
			return nil, fmt.Errorf("%v is not a serial number", v)
		case n == 0:
			return nil, errors.New("0 is the serial of every certificate that was made without one: revoke it by its key id, in revoked_ids")
		}
		numbers = append(numbers, uint64(n))
	}
	return numbers, nil
}

func checkID(id string) error {
	switch {
	case id == "":
		return errors.New("empty")
	case len(id) > maxKeyLine:
		return fmt.Errorf("longer than %d bytes", maxKeyLine)
	case !utf8.ValidString(id) || slices.ContainsFunc([]rune(id), unicode.IsControl):
		return errors.New("control characters or invalid UTF-8")
	}
	return nil
}
