package users

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// File is the content of a users.toml: its users and its text, of which an edit
// changes as little as possible.
type File struct {
	path  string
	text  string
	check CheckKey
	users map[string]User
	ca    CA
	doc   *document
	root  node
}

// Parse reads the text of a users.toml. Errors name path and line.
func Parse(path, text string, check CheckKey) (*File, error) {
	d, root, err := openDocument(path, text)
	if err != nil {
		return nil, err
	}
	f := &File{path: path, text: text, check: check, users: make(map[string]User), doc: d, root: root}
	for _, top := range d.Fields(root) {
		switch top.Name {
		case "user":
			err = f.addUsers(top)
		case "ssh_ca":
			err = f.setCA(top)
		default:
			err = d.errorf(d.Line(top), "unknown table or field %q: only [user.NAME] and [ssh_ca] are known", top.Name)
		}
		if err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *File) addUsers(top node) error {
	if _, ok := top.Value.(map[string]any); !ok {
		return f.doc.errorf(f.doc.Line(top), "user: must be a table of tables, [user.NAME]")
	}
	for _, n := range f.doc.Fields(top) {
		if err := f.add(n); err != nil {
			return err
		}
	}
	return nil
}

func (f *File) Users() []User {
	return slices.SortedFunc(maps.Values(f.copyUsers()), func(a, b User) int {
		return cmp.Compare(a.Name, b.Name)
	})
}

func (f *File) Lookup(name string) (User, bool) {
	u, ok := f.users[name]
	return u.clone(), ok
}

func (f *File) copyUsers() map[string]User {
	users := make(map[string]User, len(f.users))
	for name, u := range f.users {
		users[name] = u.clone()
	}
	return users
}

// add reads one [user.NAME] table.
func (f *File) add(n node) error {
	if err := CheckName(n.Name); err != nil {
		return f.doc.errorf(f.doc.Line(n), "%w", err)
	}
	u := User{Name: n.Name}
	if _, ok := n.Value.(map[string]any); !ok {
		return f.doc.errorf(f.doc.Line(n), "user %s: must be a table", u.Name)
	}
	for _, field := range f.doc.Fields(n) {
		if err := u.set(f.doc, field, f.check); err != nil {
			return err
		}
	}
	if err := CheckRole(u.Role); err != nil {
		return f.doc.errorf(f.doc.Line(n), "user %s: %w", u.Name, err)
	}
	f.users[u.Name] = u
	return nil
}

// set reads one field of the table of u.
func (u *User) set(d *document, n node, check CheckKey) error {
	var err error
	switch n.Name {
	case "role":
		if u.Role, err = text(n.Value); err == nil {
			err = CheckRole(u.Role)
		}
	case "password":
		if u.Password, err = text(n.Value); err == nil {
			err = CheckHash(u.Password)
		}
	case "keys":
		u.Keys, err = d.lines(n, "key", check.Line)
	case "allow":
		u.Allow, err = d.patterns(n)
	case "deny":
		u.Deny, err = d.patterns(n)
	default:
		return d.errorf(d.Line(n), "user %s: unknown field %q", u.Name, n.Name)
	}
	return d.explain(n, "user "+u.Name, err)
}

func text(value any) (string, error) {
	if s, ok := value.(string); ok {
		return s, nil
	}
	return "", errors.New("must be a string")
}

// syntaxError says where the text is not TOML. It quotes nothing: the text may
// be a password without quotes.
func syntaxError(path string, err error) error {
	p, ok := errors.AsType[toml.ParseError](err)
	if !ok {
		return fmt.Errorf("%s: %w", path, err)
	}
	message := p.Message
	if strings.HasSuffix(p.LastKey, "password") {
		message = "syntax error in the value of password"
	}
	return fmt.Errorf("%s:%d: %s", path, p.Position.Line, message)
}
