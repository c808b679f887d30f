package users

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// anyKey accepts lines that begin like a key.
func anyKey(line string) error {
	if strings.HasPrefix(line, "ssh-") {
		return nil
	}
	return errors.New("no key")
}

const sample = `# who may log in
[user.viola]   # on call
role = "operator"
password = "` + phc256 + `"
keys = [
    "ssh-ed25519 AAAA viola", # laptop
    'ssh-ed25519 BBBB "viola"',
]

# reads dashboards
[user."ci.bot"]
role = "viewer"
keys = ["ssh-rsa CCCC"]

[user.ann]
role = "admin"
`

func sampleUsers() []User {
	return []User{
		{Name: "ann", Role: "admin"},
		{Name: "ci.bot", Role: "viewer", Keys: []string{"ssh-rsa CCCC"}},
		{Name: "viola", Role: "operator", Password: phc256, Keys: []string{"ssh-ed25519 AAAA viola", `ssh-ed25519 BBBB "viola"`}},
	}
}

func TestParse(t *testing.T) {
	for name, text := range map[string]string{
		"tables": sample,
		"CRLF":   strings.ReplaceAll(sample, "\n", "\r\n"),
		"inline": "[user]\nann = {role = 'admin'}\n'ci.bot' = {role = 'viewer', keys = ['ssh-rsa CCCC']}\n" +
			"[user.viola]\nkeys = ['''ssh-ed25519 AAAA viola''', \"ssh-ed25519 BBBB \\\"viola\\\"\"]\n" +
			"role = 'operator'\npassword = '" + phc256 + "'\n",
	} {
		f, err := Parse("users.toml", text, anyKey)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(sampleUsers(), f.Users()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"[user.viola]\nrole = \"root\"", `users.toml:2: user viola: role: unknown role "root": must be one of viewer, operator, admin`},
		{"[user.viola]\nrole = \"\"", `users.toml:2: user viola: role: no role`},
		{"# x\n\n[user.viola]\nkeys = []", `users.toml:3: user viola: no role: must be one of`},
		{"[user.viola]\nrole = 3", `users.toml:2: user viola: role: must be a string`},
		{"[user.viola]\nrole = 'viewer'\nRole = 'admin'", `users.toml:3: user viola: unknown field "Role"`},
		{"[user.viola]\nrole = 'viewer'\nroles = 'admin'", `users.toml:3: user viola: unknown field "roles"`},
		{"[user.viola]\nrole = 'viewer'\n[user.viola.more]\nx = 1", `users.toml:3: user viola: unknown field "more"`},
		{"[user.viola]\nrole = 'viewer'\npassword = 'hunter2'", `users.toml:3: user viola: password: clear text`},
		{"[user.viola]\nrole = 'viewer'\npassword = ''", `users.toml:3: user viola: password: empty`},
		{"[user.viola]\nrole = 'viewer'\nkeys = 'ssh-rsa'", `users.toml:3: user viola: keys: must be a list of strings`},
		{"[user.viola]\nrole = 'viewer'\nkeys = ['ssh-rsa x',\n 'rubbish']", `users.toml:4: user viola: key 2: no key`},
		{"[user.viola]\nrole = 'viewer'\nkeys = [ # ,'[\n\n\"ssh-a\\\"]\", '''ssh-b''',\n\n# c\n'ssh-d', \"\"\"e\"\"\"]", `users.toml:8: user viola: key 4: no key`},
		{"[user.viola]\nrole = 'viewer'\nkeys = [\n'ssh-a', 3]", `users.toml:4: user viola: key 2: must be a string`},
		{"[user.viola]\nrole = 'viewer'\nkeys = [\"ssh-a\\nssh-b\"]", `users.toml:3: user viola: key 1: control characters`},
		{"[user.viola]\nrole = 'viewer'\nkeys = ['ssh-" + strings.Repeat("x", maxKeyLine) + "']", `users.toml:3: user viola: key 1: longer than`},
		{"[user.Viola]\nrole = 'viewer'", `users.toml:1: user name "Viola": must be`},
		{"[user.\"a\\nb\"]\nrole = 'viewer'", `users.toml:1: user name "a\nb": must be`},
		{"[user." + strings.Repeat("a", 33) + "]\nrole = 'viewer'", `users.toml:1: user name`},
		{"[user.viola]\nrole = 'viewer'\n[user.viola]\nrole = 'admin'", `users.toml:3: `},
		{"[[user.viola]]\nrole = 'viewer'", `users.toml:1: user viola: must be a table`},
		{"[[user]]\nname = 'viola'", `users.toml:1: user: must be a table of tables`},
		{"user = 'viola'", `users.toml:1: user: must be a table of tables`},
		{"[user]\nviola = 'admin'", `users.toml:2: user viola: must be a table`},
		{"\n[users.viola]\nrole = 'viewer'", `unknown table or field "users"`},
		{"[user.viola]\nrole = 'viewer'\n[group.x]\n", `users.toml:3: unknown table or field "group"`},
		{"[user.viola]\nrole = viewer", `users.toml:2: `},
		{"[user.viola]\nrole = 'viewer'\n\npassword = hunter2", `users.toml:4: syntax error in the value of password`},
		{"[user.viola]\nrole = 'view\xff'", `users.toml:2: invalid UTF-8`},
	} {
		f, err := Parse("users.toml", test.text, anyKey)
		if err == nil {
			t.Errorf("%q: accepted: %v", test.text, f.Users())
		} else if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q:\ngot  %s\nwant %s", test.text, err, test.want)
		}
	}
}

func TestNoCheckRefusesKeys(t *testing.T) {
	if _, err := Parse("users.toml", sample, nil); err == nil {
		t.Error("keys accepted unchecked")
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		sample, "", "[user]\na.role='viewer'", "[user.a]\nkeys=[\n'''ssh-x''' , # y\n\"ssh-\\\"\"", "user={a={role='admin'}}",
		"[[user.a]]", "[user.a]\r\nrole=\"admin\"\r\n\r\n#x", "[user.a]\npassword='''\n'''", "[user.a]\nkeys=[[],['x',",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse("users.toml", text, anyKey)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "users.toml:") {
				t.Errorf("no line in %q", err)
			}
			return
		}
		edits(t, file)
	})
}

// edits makes each edit of a file and fails when one does anything else than
// what it says. An edit may refuse the way in which a file is written.
func edits(t *testing.T, file *File) {
	t.Helper()
	before := file.Users()
	for _, u := range before {
		_ = file.SetPassword(u.Name, secret2b)
		if file.AddKey(u.Name, `ssh-y "\`) == nil {
			_ = file.RemoveKey(u.Name, len(u.Keys))
		}
	}
	const name = "zz_new"
	if err := file.Add(User{Name: name, Role: "viewer", Password: phc256, Keys: []string{`ssh-x "\`}}); err != nil {
		return
	}
	if err := file.SetPassword(name, secret2b); err != nil {
		t.Errorf("the password of the new user: %v", err)
	}
	if u, ok := file.Lookup(name); !ok || u.Password != secret2b || len(u.Keys) != 1 {
		t.Errorf("the new user is %+v", u)
	}
	if err := file.Remove(name); err != nil {
		t.Errorf("remove the new user: %v", err)
	}
	after := file.Users()
	for i := range after {
		if n := len(before[i].Keys); len(after[i].Keys) == n+1 && after[i].Keys[n] == `ssh-y "\` { // could not be taken out again
			after[i].Keys = after[i].Keys[:n]
		}
		if after[i].Password == secret2b {
			after[i].Password = before[i].Password
		}
	}
	if diff := cmp.Diff(before, after, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("others changed (-want +got):\n%s", diff)
	}
}
