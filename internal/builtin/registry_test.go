package builtin

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/commandline"
)

func nothing(context.Context, *commands.Call) error { return nil }

func TestNewRegistryRefuses(t *testing.T) {
	good := commands.Command{Name: "flush", Role: commands.Viewer, Run: nothing}
	named := func(name string) commands.Command {
		return commands.Command{Name: name, Role: commands.Viewer, Run: nothing}
	}
	for name, test := range map[string]struct {
		custom []commands.Command
		want   string
	}{
		"good":                {[]commands.Command{good, named("cache flush"), named("worker kill"), named(".x")}, ""},
		"twice":               {[]commands.Command{good, good}, `command "flush": registered twice`},
		"a built-in's":        {[]commands.Command{named("status")}, `command "status": registered twice`},
		"no role":             {[]commands.Command{{Name: "a", Run: nothing}}, `command "a": no role: name the least one that may run it`},
		"role out of range":   {[]commands.Command{{Name: "a", Role: commands.Admin + 1, Run: nothing}}, `command "a": no role: name the least one that may run it`},
		"no run":              {[]commands.Command{{Name: "a", Role: commands.Viewer}}, `command "a": nothing to run`},
		"no name":             {[]commands.Command{named("")}, `command "": not a name: one or two words of a-z, 0-9, _ and -`},
		"three words":         {[]commands.Command{named("a b c")}, `command "a b c": not a name: one or two words of a-z, 0-9, _ and -`},
		"capital":             {[]commands.Command{named("Flush")}, `command "Flush": not a name: one or two words of a-z, 0-9, _ and -`},
		"flag":                {[]commands.Command{named("--json")}, `command "--json": not a name: one or two words of a-z, 0-9, _ and -`},
		"blanks":              {[]commands.Command{named("a  b")}, `command "a  b": not a name: one or two words of a-z, 0-9, _ and -`},
		"hides a group":       {[]commands.Command{named("worker")}, `command "worker": would hide built-in "worker"`},
		"hides an argument":   {[]commands.Command{named("scale up")}, `command "scale up": would hide built-in "scale"`},
		"own group and alone": {[]commands.Command{named("cache"), named("cache flush")}, ""},
	} {
		_, err := commandline.NewRegistry(Commands("1"), test.custom...)
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
	s := newSession(t, hello(), commands.Command{Name: "cache", Role: commands.Viewer, Run: nothing}, commands.Command{Name: "cache flush", Role: commands.Viewer, Run: nothing})
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
		words, err := commandline.Parse(line)
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
		role  commands.Role
		want  string // empty: no suggestion
	}{
		{"worker ifno 3", commands.Viewer, "worker info"},
		{"worker restrat 4", commands.Operator, "worker restart"},
		{"worker restrat 4", commands.Viewer, ""},
		{"wroker list", commands.Viewer, "worker list"},
		{"relaod web", commands.Admin, "reload"},
		{"top", commands.Admin, ""},
		{"stpo", commands.Admin, ""},
		{"worker stpo web/1", commands.Admin, ""},
		{"job cancle 3", commands.Admin, ""},
		{"session ned 0b", commands.Admin, ""},
		{"nosuch", commands.Admin, ""},
		{strings.Repeat("a", 5000), commands.Admin, ""},
	} {
		s.in.Role = test.role
		_, got, _ := strings.Cut(strings.TrimSpace(s.do(t.Context(), test.typed).Err), "mean: ")
		if got != test.want {
			t.Errorf("%.20s as %s: %q, want %q", test.typed, test.role, got, test.want)
		}
	}
}

func TestComplete(t *testing.T) {
	s := newSession(t, hello())
	for _, test := range []struct {
		line string
		role commands.Role
		want []string // from the byte where it begins
	}{
		{"w", commands.Viewer, []string{"whoami", "worker info", "worker list"}},
		{"worker r", commands.Operator, []string{"worker restart", "worker revive"}},
		{"  worker   l", commands.Viewer, []string{"  worker list"}},
		{"worker info ", commands.Viewer, []string{"worker info shell/0", "worker info web/0", "worker info web/1"}},
		{"worker info web/0 ", commands.Viewer, nil},
		{"worker info --watch we", commands.Viewer, []string{"worker info --watch web/0", "worker info --watch web/1"}},
		{"worker revive ", commands.Operator, []string{"worker revive web/1"}},
		{"worker revive web/1 ", commands.Operator, nil},
		{"worker revive ", commands.Viewer, nil},
		{"worker signal web/0 H", commands.Operator, []string{"worker signal web/0 HUP"}},
		{"log --worker web/", commands.Viewer, []string{"log --worker web/0", "log --worker web/1"}},
		{"log --lines ", commands.Viewer, nil},
		{"log --f", commands.Viewer, []string{"log --follow", "log --for"}},
		{"scale ", commands.Operator, []string{"scale web"}},
		{"reload s", commands.Operator, []string{"reload shell"}},
		{"log | m", commands.Viewer, []string{"log | match"}},
		{"log | head 5 | co", commands.Viewer, []string{"log | head 5 | count"}},
		{"log | match x", commands.Viewer, nil},
		{"worker info 'we", commands.Viewer, nil},
		{"worker info # we", commands.Viewer, nil},
		{"nosuch ", commands.Viewer, nil},
		{"re", commands.Viewer, nil},
		{"re", commands.Operator, []string{"reload"}},
		{"re", commands.Admin, []string{"reload", "restart"}},
		{"help wh", commands.Viewer, []string{"help whoami"}},
		{"zzz", commands.Admin, nil},
		{"s", commands.NoRole, nil},
	} {
		from, list := s.registry.Complete(t.Context(), commandline.Completion{Line: test.line, Role: test.role, Control: s.control})
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

// Every command against every role, as the table of the commands says.
func TestRoles(t *testing.T) {
	s := newSession(t, hello())
	for _, c := range s.registry.Visible(commands.Admin) {
		for _, role := range []commands.Role{commands.NoRole, commands.Viewer, commands.Operator, commands.Admin, commands.Admin + 1} {
			allowed := role >= c.Role && role <= commands.Admin
			var before, refused []string
			s.in = commandline.Invocation{
				User: "viola", Role: role,
				Before: func(name string, _ []string) error { before = append(before, name); return nil },
				Denied: func(name string, _ []string) { refused = append(refused, name) },
			}
			s.control.calls = nil
			got := s.do(t.Context(), c.Name+" --help")
			if denied := got.Status == commands.StatusDenied; denied == allowed {
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
	s := newSession(t, hello(), commands.Command{Name: "secret plan", Role: commands.Admin, Run: nothing, Summary: "hush"})
	for _, role := range []commands.Role{commands.Viewer, commands.Operator, commands.Admin} {
		s.in.Role = role
		for _, line := range []string{"help", "help --json", "worker ?", "secret ?", "sceret", "secret plna"} {
			got := s.do(t.Context(), line)
			text := got.Out + got.Err
			for _, c := range s.registry.Visible(commands.Admin) {
				if role < c.Role && strings.Contains(c.Name, " ") && strings.Contains(text, c.Name) {
					t.Errorf("%s as %s shows %s:\n%s", line, role, c.Name, text)
				}
				if role >= c.Role && strings.HasPrefix(line, "help") && !strings.Contains(text, c.Name) {
					t.Errorf("%s as %s does not show %s", line, role, c.Name)
				}
			}
		}
	}
}

func TestSecret(t *testing.T) {
	nothing := func(context.Context, *commands.Call) error { return nil }
	s := newSession(t, hello(), commands.Command{Name: "token set", Role: commands.Operator, Secret: true, Run: nothing},
		commands.Command{Name: "topple", Role: commands.Admin, Run: nothing})
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
