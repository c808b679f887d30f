package commands

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func nothing(context.Context, *Call) error { return nil }

func TestNewRegistryRefuses(t *testing.T) {
	good := Command{Name: "flush", Role: Viewer, Run: nothing}
	named := func(name string) Command { return Command{Name: name, Role: Viewer, Run: nothing} }
	for name, test := range map[string]struct {
		custom []Command
		want   string
	}{
		"good":                {[]Command{good, named("cache flush"), named("worker kill"), named(".x")}, ""},
		"twice":               {[]Command{good, good}, `command "flush": registered twice`},
		"a built-in's":        {[]Command{named("status")}, `command "status": registered twice`},
		"no role":             {[]Command{{Name: "a", Run: nothing}}, `command "a": no role: name the least one that may run it`},
		"role out of range":   {[]Command{{Name: "a", Role: Admin + 1, Run: nothing}}, `command "a": no role: name the least one that may run it`},
		"no run":              {[]Command{{Name: "a", Role: Viewer}}, `command "a": nothing to run`},
		"no name":             {[]Command{named("")}, `command "": not a name: one or two words of a-z, 0-9, _ and -`},
		"three words":         {[]Command{named("a b c")}, `command "a b c": not a name: one or two words of a-z, 0-9, _ and -`},
		"capital":             {[]Command{named("Flush")}, `command "Flush": not a name: one or two words of a-z, 0-9, _ and -`},
		"flag":                {[]Command{named("--json")}, `command "--json": not a name: one or two words of a-z, 0-9, _ and -`},
		"blanks":              {[]Command{named("a  b")}, `command "a  b": not a name: one or two words of a-z, 0-9, _ and -`},
		"hides a group":       {[]Command{named("worker")}, `command "worker": would hide built-in "worker"`},
		"hides an argument":   {[]Command{named("scale up")}, `command "scale up": would hide built-in "scale"`},
		"own group and alone": {[]Command{named("cache"), named("cache flush")}, ""},
	} {
		_, err := NewRegistry(Builtin("1"), test.custom...)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestLookup(t *testing.T) {
	s := newSession(t, hello(), Command{Name: "cache", Role: Viewer, Run: nothing}, Command{Name: "cache flush", Role: Viewer, Run: nothing})
	for line, want := range map[string]string{
		"worker info web/2": "worker info|web/2",
		"worker list":       "worker list|",
		"worker":            "-|worker",
		"worker li":         "-|worker li",
		"stat":              "-|stat",
		"cache":             "cache|",
		"cache flush all":   "cache flush|all",
		"cache warm":        "cache|warm",
		"? worker":          "?|worker",
		"worker ''":         "-|worker ",
		"scale '' 3":        "scale| 3",
		"":                  "-|",
	} {
		words, err := Parse(line)
		if err != nil {
			t.Fatal(err)
		}
		name := "-"
		command, rest := s.registry.Lookup(words)
		if command != nil {
			name = command.Name
		}
		if got := name + "|" + strings.Join(rest, " "); got != want {
			t.Errorf("Lookup(%s) = %q, want %q", line, got, want)
		}
	}
}

func TestSuggest(t *testing.T) {
	s := newSession(t, hello())
	for _, test := range []struct {
		typed string
		role  Role
		want  []string
	}{
		{"worker ifno 3", Viewer, []string{"worker info"}},
		{"worker restrat 4", Operator, []string{"worker restart"}},
		{"worker restrat 4", Viewer, nil},
		{"wroker list", Viewer, []string{"worker list"}},
		{"relaod web", Admin, []string{"reload"}},
		{"stpo", Admin, []string{"stop"}},
		{"stpo", Operator, nil},
		{"worker", Viewer, []string{"worker info", "worker list"}},
		{"nosuch", Admin, nil},
		{strings.Repeat("a", 5000), Admin, nil},
	} {
		if diff := cmp.Diff(test.want, s.registry.Suggest(strings.Fields(test.typed), test.role)); diff != "" {
			t.Errorf("%.20s as %s:\n%s", test.typed, test.role, diff)
		}
	}
}

func TestComplete(t *testing.T) {
	s := newSession(t, hello())
	for _, test := range []struct {
		line string
		role Role
		want []string // from the byte where it begins
	}{
		{"w", Viewer, []string{"whoami", "worker info", "worker list"}},
		{"worker r", Operator, []string{"worker restart", "worker revive"}},
		{"  worker   l", Viewer, []string{"  worker list"}},
		{"worker info ", Viewer, []string{"worker info shell/0", "worker info web/0", "worker info web/1"}},
		{"worker info web/0 ", Viewer, nil},
		{"worker info --watch we", Viewer, []string{"worker info --watch web/0", "worker info --watch web/1"}},
		{"worker revive ", Operator, []string{"worker revive web/1"}},
		{"worker revive web/1 ", Operator, nil},
		{"worker revive ", Viewer, nil},
		{"worker signal web/0 H", Operator, []string{"worker signal web/0 HUP"}},
		{"log --worker web/", Viewer, []string{"log --worker web/0", "log --worker web/1"}},
		{"log --lines ", Viewer, nil},
		{"log --f", Viewer, []string{"log --follow", "log --for"}},
		{"scale ", Operator, []string{"scale web"}},
		{"reload s", Operator, []string{"reload shell"}},
		{"log | m", Viewer, []string{"log | match"}},
		{"log | head 5 | co", Viewer, []string{"log | head 5 | count"}},
		{"log | match x", Viewer, nil},
		{"worker info 'we", Viewer, nil},
		{"worker info # we", Viewer, nil},
		{"nosuch ", Viewer, nil},
		{"re", Viewer, nil},
		{"re", Operator, []string{"reload"}},
		{"re", Admin, []string{"reload", "restart"}},
		{"help wh", Viewer, []string{"help whoami"}},
		{"zzz", Admin, nil},
		{"s", NoRole, nil},
	} {
		from, list := s.registry.Complete(t.Context(), Completion{Line: test.line, Role: test.role, Control: s.control})
		var got []string
		for _, c := range list {
			got = append(got, test.line[:from]+c.Text)
		}
		slices.Sort(got)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%q as %s:\n%s", test.line, test.role, diff)
		}
	}
}

func TestDistance(t *testing.T) {
	for pair, want := range map[[2]string]int{
		{"", ""}: 0, {"a", ""}: 1, {"abc", "abc"}: 0, {"abc", "acb"}: 1, {"abc", "abd"}: 1,
		{"abc", "ab"}: 1, {"kitten", "sitting"}: 3, {"ifno", "info"}: 1,
	} {
		if got := distance(pair[0], pair[1]); got != want {
			t.Errorf("distance(%q, %q) = %d, want %d", pair[0], pair[1], got, want)
		}
		if got := distance(pair[1], pair[0]); got != want {
			t.Errorf("distance(%q, %q) = %d, want %d", pair[1], pair[0], got, want)
		}
	}
}

func TestParseRole(t *testing.T) {
	for _, want := range []Role{Viewer, Operator, Admin} {
		if got, err := ParseRole(want.String()); got != want || err != nil {
			t.Errorf("ParseRole(%s) = %s, %v", want, got, err)
		}
	}
	for _, bad := range []string{"", "none", "Admin", "root"} {
		if got, err := ParseRole(bad); got != NoRole || err == nil {
			t.Errorf("ParseRole(%q) = %s, %v", bad, got, err)
		}
	}
}

// Every command against every role, as the table of the commands says.
func TestRoles(t *testing.T) {
	s := newSession(t, hello())
	for _, c := range s.registry.list {
		for _, role := range []Role{NoRole, Viewer, Operator, Admin, Admin + 1} {
			allowed := role >= c.Role && role <= Admin
			var before, refused []string
			s.in = Invocation{
				User: "viola", Role: role,
				Before: func(name string, _ []string) error { before = append(before, name); return nil },
				Denied: func(name string, _ []string) { refused = append(refused, name) },
			}
			s.control.calls = nil
			got := s.do(t.Context(), c.Name+" --help")
			if denied := got.Status == StatusDenied; denied == allowed {
				t.Errorf("%s as %s: status %d", c.Name, role, got.Status)
			}
			if allowed && (len(before) != 1 || len(refused) != 0) || !allowed && (len(before) != 0 || len(refused) != 1) {
				t.Errorf("%s as %s: before %q, denied %q", c.Name, role, before, refused)
			}
			if !allowed && (got.Out != "" || !strings.HasPrefix(got.Err, "error: denied: "+c.Name+" needs role ")) {
				t.Errorf("%s as %s: %+v", c.Name, role, got)
			}
			if len(s.control.asked()) != 0 {
				t.Errorf("%s --help asked the cluster", c.Name)
			}
		}
	}
}

// What a role may not run is nowhere to be seen.
func TestHelpShowsOnlyOwn(t *testing.T) {
	s := newSession(t, hello(), Command{Name: "secret plan", Role: Admin, Run: nothing, Summary: "hush"})
	for _, role := range []Role{Viewer, Operator, Admin} {
		s.in.Role = role
		for _, line := range []string{"help", "help --json", "worker ?", "secret ?", "sceret", "secret plna"} {
			got := s.do(t.Context(), line)
			text := got.Out + got.Err
			for _, c := range s.registry.list {
				if !role.may(c.Role) && strings.Contains(c.Name, " ") && strings.Contains(text, c.Name) {
					t.Errorf("%s as %s shows %s:\n%s", line, role, c.Name, text)
				}
				if role.may(c.Role) && strings.HasPrefix(line, "help") && !strings.Contains(text, c.Name) {
					t.Errorf("%s as %s does not show %s", line, role, c.Name)
				}
			}
		}
	}
}

func TestSecret(t *testing.T) {
	nothing := func(context.Context, *Call) error { return nil }
	s := newSession(t, hello(), Command{Name: "token set", Role: Operator, Secret: true, Run: nothing},
		Command{Name: "topple", Role: Admin, Run: nothing})
	for line, want := range map[string]bool{
		"token set hunter2": true, "tok s hunter2": true, "token set 'hunter2": true, "  token   set hunter2 | count": true,
		"to set hunter2": true, // of somebody who may not run topple
		"token":          false, "status": false, "": false, "'": false,
	} {
		if got := s.registry.Secret(line); got != want {
			t.Errorf("Secret(%q) = %t", line, got)
		}
	}
	if diff := cmp.Diff([]string{"token", "set"}, s.registry.Redact([]string{"token", "set", "hunter2"})); diff != "" {
		t.Error(diff)
	}
}
