package commandline

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/norestart/norestart/commands"
)

func TestMatchWords(t *testing.T) {
	for _, test := range []struct {
		pattern, words         string
		whole, prefix, mayGoOn bool
	}{
		{"status", "status", true, true, true},
		{"status", "status x", false, true, false},
		{"status", "statu", false, false, false},
		{"worker info", "worker", false, false, true},
		{"worker *", "worker", true, true, true},
		{"worker *", "worker info web/1", true, true, true},
		{"worker * web/1", "worker info web/1", true, true, true},
		{"worker * web/1", "worker web/1 web/1", true, true, true},
		{"worker * web/1", "worker info web/2", false, false, true},
		{"worker * web/1", "worker info web/1 x", false, true, true},
		{"worker info web/*", "worker info web/12", true, true, true},
		{"worker info web/*", "worker info db/1", false, false, false},
		{"worker info *", "worker info", true, true, true},
		{"w*r i*o", "worker info", true, true, true},
		{"*", "", true, true, true},
		{"*", "anything at all", true, true, true},
		{"* *", "", true, true, true},
		{"a*b*c", "aXbXc", true, true, true},
		{"a*b*c", "abc", true, true, true},
		{"a*ba", "aba", true, true, true},
		{"a*ba", "ab", false, false, false},
		{"*a*a*", "a", false, false, false},
	} {
		pattern, words := strings.Fields(test.pattern), strings.Fields(test.words)
		for how, want := range map[extent]bool{whole: test.whole, prefix: test.prefix, mayGoOn: test.mayGoOn} {
			if got := matchWords(pattern, words, how); got != want {
				t.Errorf("%q and %q, %d: %v", test.pattern, test.words, how, got)
			}
		}
	}
}

// limited are commands as an application and norestart have them.
func limited(t *testing.T, allow, deny []string) *Registry {
	t.Helper()
	echo := func(_ context.Context, c *commands.Call) error {
		c.Printf("%s\n", strings.Join(c.Args, " "))
		return nil
	}
	flags := func(f *pflag.FlagSet) { f.Bool("yes", false, ""); f.String("to", "", "") }
	registry, err := NewRegistry([]commands.Command{
		{Name: "stop", Role: commands.Admin, Flags: flags, Run: echo},
		{Name: "scale", Role: commands.Operator, Flags: flags, Run: echo},
		{Name: "worker info", Role: commands.Viewer, Flags: flags, Run: echo},
		{Name: "worker stop", Role: commands.Operator, Flags: flags, Run: echo},
		{Name: "whoami", Role: commands.Viewer, Run: echo},
		{Name: "help", Role: commands.Viewer, Run: Help},
	}, commands.Command{Name: "flush", Role: commands.Operator, Run: echo},
		commands.Command{Name: "broken", Role: commands.Viewer, Flags: func(*pflag.FlagSet) { panic("flags") }, Run: echo})
	if err != nil {
		t.Fatal(err)
	}
	return registry.Limit(ParseLimits(allow, deny))
}

func TestLimits(t *testing.T) {
	for _, test := range []struct {
		name        string
		allow, deny []string
		run         string
		status      int
	}{
		{"nothing said", nil, nil, "stop --yes", 0},
		{"denied", nil, []string{"stop"}, "stop", 77},
		{"denied with a flag", nil, []string{"stop"}, "stop --yes", 77},
		{"denied with words", nil, []string{"stop"}, "stop a b", 77},
		{"denied, quoted", nil, []string{"stop"}, `st"op" --yes`, 77},
		{"a family is denied", nil, []string{"worker"}, "worker info", 77},
		{"another is not", nil, []string{"worker stop"}, "worker info", 0},
		{"arguments denied", nil, []string{"scale web"}, "scale web 8", 77},
		{"arguments denied, a flag before them", nil, []string{"scale web"}, "scale --yes web 8", 77},
		{"arguments denied, a flag with a value between", nil, []string{"scale web"}, "scale --to x web 8", 77},
		{"arguments denied, after --", nil, []string{"scale web"}, "scale -- web 8", 77},
		{"arguments denied, with --json", nil, []string{"scale web"}, "scale --json web", 77},
		{"other arguments", nil, []string{"scale web"}, "scale db 8", 0},
		{"anywhere among the arguments", nil, []string{"scale * db"}, "scale web db", 77},
		{"the value of a flag is no argument", nil, []string{"scale web"}, "scale --to web db", 0},
		{"allowed", []string{"scale *"}, nil, "scale web -3", 0},
		{"not allowed", []string{"scale *"}, nil, "stop", 77},
		{"allowed without arguments only", []string{"worker info"}, nil, "worker info web/1", 77},
		{"allowed without arguments only, flags", []string{"worker info"}, nil, "worker info --yes --json", 0},
		{"some arguments allowed", []string{"worker info web/*"}, nil, "worker info web/1", 0},
		{"some arguments allowed, not more of them", []string{"worker info web/*"}, nil, "worker info web/1 db/1", 77},
		{"deny wins", []string{"worker *"}, []string{"worker stop"}, "worker stop web/1", 77},
		{"a command of the application has no flags", []string{"flush a"}, nil, "flush a --all", 77},
		{"the session needs it", []string{"scale *"}, nil, "whoami", 0},
		{"the session needs it, denied", []string{"scale *"}, []string{"whoami"}, "whoami", 77},
		{"help for whoever may run it in some way", []string{"scale web *"}, nil, "scale --help", 0},
		{"help, denied", nil, []string{"stop"}, "stop --help", 77},
		{"help on what is denied", nil, []string{"stop"}, "help stop", 77},
		{"nothing at all", nil, []string{"*"}, "help", 77},
		{"limits never widen", []string{"*"}, nil, "stop --yes", 77},
		{"bad flags", []string{"scale *"}, nil, "scale --bad", 2},
		{"flags that panic", []string{"broken"}, nil, "broken", 1},
		{"unknown", []string{"scale *"}, nil, "scal", 127},
	} {
		role := commands.Admin
		if test.name == "limits never widen" {
			role = commands.Operator
		}
		var ran, denied int
		var out, errOut strings.Builder
		status := limited(t, test.allow, test.deny).Run(t.Context(), Invocation{
			Line: test.run, Role: role, Out: &out, Err: &errOut,
			Before: func(string, []string) error { ran++; return nil },
			Denied: func(string, []string) { denied++ },
		})
		if status != test.status || (denied == 1) != (status == 77 && !strings.HasPrefix(test.run, "help stop")) ||
			status != 0 && status != 77 && ran > 0 {
			t.Errorf("%s: %q: status %d, %d ran, %d denied: %s%s", test.name, test.run, status, ran, denied, &out, &errOut)
		}
	}
}

// What may not be run is not to be seen either.
func TestLimitsAreShown(t *testing.T) {
	for _, test := range []struct {
		allow, deny []string
		want        string
	}{
		{nil, nil, "flush help scale stop whoami worker info worker stop"},
		{nil, []string{"worker"}, "flush help scale stop whoami"},
		{nil, []string{"stop", "scale web"}, "flush help scale whoami worker info worker stop"},
		{[]string{"worker *"}, []string{"worker stop"}, "help whoami worker info"},
		{[]string{"scale web *"}, nil, "help scale whoami"},
		{[]string{"* web"}, []string{"help"}, "broken flush scale stop whoami worker info worker stop"},
	} {
		r := limited(t, test.allow, test.deny)
		var names []string
		for _, c := range r.Visible(commands.Admin) {
			names = append(names, c.Name)
		}
		got := strings.Join(slices.Sorted(slices.Values(names)), " ")
		want := test.want
		if len(test.allow) == 0 {
			want = "broken " + want
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("allow %q, deny %q (-want +got):\n%s", test.allow, test.deny, diff)
		}
	}
	r := limited(t, nil, []string{"worker"})
	if _, found := r.Complete(t.Context(), Completion{Line: "worker ", Role: commands.Admin}); len(found) > 0 {
		t.Errorf("completed: %q", found)
	}
	if s := r.suggest([]string{"worker"}, commands.Admin); len(s) > 0 {
		t.Errorf("suggested: %q", s)
	}
}
