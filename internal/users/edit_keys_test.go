package users

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestKeyEdits(t *testing.T) {
	const head, tail = "# c\n[user.viola]\nrole = 'viewer'\n", "\n[user.x]\nrole = 'viewer'\n"
	add := func(f *File) error { return f.AddKey("viola", `ssh-n "q"`) }
	del := func(i int) func(*File) error { return func(f *File) error { return f.RemoveKey("viola", i) } }
	const line = `"ssh-n \"q\""`
	for _, test := range []struct {
		name         string
		edit         func(*File) error
		before, want string
	}{
		{"first", add, "", "!keys = [\n    " + line + ",\n]\n"},
		{"into an empty list", add, "keys = []\n", "keys = [\n    " + line + ",\n]\n"},
		{"into a line", add, "keys = ['ssh-a']\n", "keys = ['ssh-a', " + line + "]\n"},
		{"into a line with a comma", add, "keys = ['ssh-a',]\n", "keys = ['ssh-a', " + line + "]\n"},
		{
			"into lines", add, "keys = [\n  'ssh-a', # laptop, ]\n]\n",
			"keys = [\n  'ssh-a', # laptop, ]\n    " + line + ",\n]\n",
		},
		{
			"into lines without a comma", add, "keys = [\n  'ssh-a' # laptop\n]\n",
			"keys = [\n  'ssh-a', # laptop\n    " + line + ",\n]\n",
		},
		{"behind lines", add, "keys = [\n  'ssh-a',\n  'ssh-b']\n", "keys = [\n  'ssh-a',\n  'ssh-b', " + line + "]\n"},
		{"only one", del(0), "keys = ['ssh-a']\n", "keys = []\n"},
		{"first of a line", del(0), "keys = ['ssh-a', 'ssh-b']\n", "keys = [ 'ssh-b']\n"},
		{"last of a line", del(1), "keys = ['ssh-a', 'ssh-b']\n", "keys = ['ssh-a']\n"},
		{
			"with its line", del(0), "keys = [\n  'ssh-a', # laptop\n  # office\n  'ssh-b',\n]\n",
			"keys = [\n  # office\n  'ssh-b',\n]\n",
		},
		{"the last line", del(1), "keys = [\n  'ssh-a',\n  'ssh-b' # x\n]\n", "keys = [\n  'ssh-a',\n]\n"},
		{"inline table", add, "", ""},
	} {
		text, want := head+test.before+tail, head+test.want+tail
		if after, ok := strings.CutPrefix(test.want, "!"); ok { // right behind the header
			want = strings.Replace(head, "]\n", "]\n"+after, 1) + tail
		}
		if test.name == "inline table" {
			text = "user = {viola = {role = 'viewer'}}\n"
			want = text
		}
		f, err := Parse("users.toml", text, anyKey)
		if err != nil {
			t.Fatal(err)
		}
		if err := test.edit(f); (err == nil) != (test.name != "inline table") {
			t.Errorf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(want, f.text); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestKeyEditsRefuse(t *testing.T) {
	f, err := Parse("users.toml", sample, anyKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"nobody":       f.AddKey("nobody", "ssh-x"),
		"no key":       f.AddKey("viola", "x"),
		"bad option":   f.AddKey("viola", "frob ssh-x"),
		"del, nobody":  f.RemoveKey("nobody", 0),
		"del, no key":  f.RemoveKey("viola", 2),
		"del, no list": f.RemoveKey("ann", 0),
	} {
		if err == nil {
			t.Errorf("%s: done", name)
		}
	}
	if f.text != sample {
		t.Error("the text changed")
	}
}
