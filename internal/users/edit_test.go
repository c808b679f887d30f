package users

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEditsKeepTheRest(t *testing.T) {
	for _, test := range []struct {
		name string
		edit func(*File) error
		want string
	}{
		{
			"password replaced",
			func(f *File) error { return f.SetPassword("viola", secret2b) },
			strings.Replace(sample, phc256, secret2b, 1),
		},
		{
			"password added",
			func(f *File) error { return f.SetPassword("ci.bot", secret2b) },
			strings.Replace(sample, "[user.\"ci.bot\"]\n", "[user.\"ci.bot\"]\npassword = \""+secret2b+"\"\n", 1),
		},
		{
			"user added",
			func(f *File) error {
				return f.Add(User{Name: "b.b", Role: "viewer", Password: phc256, Keys: []string{`ssh-x a\"b`}})
			},
			sample + "\n[user.\"b.b\"]\nrole = \"viewer\"\npassword = \"" + phc256 + "\"\nkeys = [\n    \"ssh-x a\\\\\\\"b\",\n]\n",
		},
		{
			"first removed",
			func(f *File) error { return f.Remove("viola") },
			"# who may log in\n" + sample[strings.Index(sample, "\n# reads"):],
		},
		{
			"in the middle removed",
			func(f *File) error { return f.Remove("ci.bot") },
			strings.Replace(sample, "[user.\"ci.bot\"]\nrole = \"viewer\"\nkeys = [\"ssh-rsa CCCC\"]\n", "", 1),
		},
		{
			"last removed",
			func(f *File) error { return f.Remove("ann") },
			strings.Replace(sample, "\n[user.ann]\nrole = \"admin\"\n", "", 1),
		},
	} {
		f, err := Parse("users.toml", sample, anyKey)
		if err != nil {
			t.Fatal(err)
		}
		if err := test.edit(f); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.want, f.text); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestEditsRefuse(t *testing.T) {
	const inline = "[user]\nbob = {role = 'viewer', password = '" + phc256 + "'}\n"
	for name, edit := range map[string]func(*File) error{
		"exists":       func(f *File) error { return f.Add(User{Name: "bob", Role: "viewer"}) },
		"bad name":     func(f *File) error { return f.Add(User{Name: "B", Role: "viewer"}) },
		"no role":      func(f *File) error { return f.Add(User{Name: "b"}) },
		"bad password": func(f *File) error { return f.Add(User{Name: "b", Role: "viewer", Password: "x"}) },
		"bad key":      func(f *File) error { return f.Add(User{Name: "b", Role: "viewer", Keys: []string{"x"}}) },
		"bad hash":     func(f *File) error { return f.SetPassword("bob", "x") },
		"unknown":      func(f *File) error { return f.SetPassword("b", secret2b) },
		"none to del":  func(f *File) error { return f.Remove("b") },
		"inline":       func(f *File) error { return f.SetPassword("bob", secret2b) },
	} {
		f, err := Parse("users.toml", inline, anyKey)
		if err != nil {
			t.Fatal(err)
		}
		if err := edit(f); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if f.text != inline {
			t.Errorf("%s: the text changed: %q", name, f.text)
		}
	}
}

func TestRemoveLastOne(t *testing.T) {
	f, err := Parse("users.toml", "", anyKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Add(User{Name: "bob", Role: "viewer"}); err != nil {
		t.Fatal(err)
	}
	if err := f.Remove("bob"); err != nil || f.text != "" {
		t.Errorf("left %q, %v", f.text, err)
	}
}
