package builtin

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/commandline"
)

// letters writes a to e, a line each, and fails if it is told to.
var letters = commands.Command{Name: "letters", Role: commands.Viewer, Run: func(_ context.Context, c *commands.Call) error {
	for _, line := range []string{"a\nb", "\nc\n", "d\ne"} {
		c.Printf("%s", line)
	}
	if len(c.Args) > 1 {
		return &control.Error{Message: "as you wish"}
	}
	return nil
}}

func TestFilters(t *testing.T) {
	s := newSession(t, hello(), letters)
	hint := "hint: filters are match, except, count, head, tail; for the character | write '|'"
	for line, want := range map[string]result{
		"letters | match [ab]":                  {0, "a\nb\n", ""},
		"letters|match 'a|e'":                   {0, "a\ne\n", ""},
		"letters | except [ab] | except c":      {0, "d\ne\n", ""},
		"letters | count":                       {0, "5\n", ""},
		"letters | match x | count":             {0, "0\n", ""},
		"letters | head 2":                      {0, "a\nb\n", ""},
		"letters | tail 2":                      {0, "d\ne\n", ""},
		"letters | head | tail 1":               {0, "e\n", ""},
		"letters | head 0":                      {0, "", ""},
		"letters | tail 0":                      {0, "", ""},
		"letters fail | count":                  {1, "", "error: as you wish\n"},
		"letters fail | tail 1":                 {1, "e\n", "error: as you wish\n"},
		"letters '|' count":                     {1, "a\nb\nc\nd\ne", "error: as you wish\n"},
		"letters |":                             {2, "", lines("error: nothing follows the |", hint)},
		"letters | match":                       {2, "", lines("error: match takes one pattern", hint)},
		"letters | match a b":                   {2, "", lines("error: match takes one pattern", hint)},
		"letters | match '('":                   {2, "", lines("error: match: error parsing regexp: missing closing ): `(`", hint)},
		"letters | head -1":                     {2, "", lines("error: head takes a number of lines from 0 to 10000", hint)},
		"letters | count 3":                     {2, "", lines(`error: count takes no argument, got "3"`, hint)},
		"letters | grep a":                      {2, "", lines(`error: "grep" is not a filter`, hint)},
		"| count":                               {2, "", lines("error: no command before the |")},
		"letters" + strings.Repeat("| head", 9): {2, "", lines("error: more than 8 filters")},
	} {
		if diff := cmp.Diff(want, s.do(t.Context(), line)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", line, diff)
		}
	}
}

// What follows a stream that was cut by head is not waited for.
func TestHeadEndsAStream(t *testing.T) {
	f := hello()
	f.log = []control.LogLine{{Worker: "web/0", Text: "one"}, {Worker: "web/0", Text: "two"}}
	s := newSession(t, f)
	got := s.do(t.Context(), "log --follow | head 1")
	if got.Status != 0 || strings.Count(got.Out, "\n") != 1 {
		t.Errorf("%+v", got)
	}
}

func TestAbbreviations(t *testing.T) {
	s := newSession(t, hello(), letters)
	s.in.Mode = commands.Interactive
	s.in.Screen = commandline.Screen{Width: 80, Height: 24}
	for line, want := range map[string]result{
		"wh":             {0, "viola, role admin\n", ""},
		"let | head 1":   {0, "a\n", ""},
		"w l":            {127, "", lines("w l", "^ ambiguous: w → worker, whoami")},
		"worker r":       {127, "", lines("worker r", "       ^ ambiguous: worker r → revive, restart")},
		"re web":         {127, "", lines("re web", "^ ambiguous: re → reload, rollback, restart")},
		"worker ifno 3":  {127, "", lines("worker ifno 3", "       ^ unknown command. Did you mean: worker info")},
		"worker info 'x": {2, "", lines("worker info 'x", "            ^ unclosed quote (') at column 13")},
		"whoami | grep":  {2, "", lines("whoami | grep", `       ^ "grep" is not a filter`, "hint: filters are match, except, count, head, tail; for the character | write '|'")},
		"status web":     {2, "", lines("status web", `       ^ status takes no argument, got "web"`, "hint: help status")},
		"scale web x":    {2, "", lines("scale web x", `          ^ scale web x: "x" is not a number of workers: N, +N, -N or auto`, "hint: help scale")},
		"job list --foo": {2, "", lines("job list --foo", "         ^ job list: unknown flag: --foo", "hint: help job list")},
		"frob":           {127, "", lines("frob", "^ unknown command", "hint: help")},
	} {
		got := s.do(t.Context(), line)
		if line == "re web" {
			want.Err = got.Err // the order of registration
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", line, diff)
		}
	}
	if got := s.do(t.Context(), "wor li | match web/0"); got.Status != 0 || !strings.HasPrefix(got.Out, "web/0 ") {
		t.Errorf("wor li: %+v", got)
	}
	s.in.Mode = commands.Script
	if got := s.do(t.Context(), "wh"); got.Status != commands.StatusUnknown {
		t.Errorf("a script may abbreviate: %+v", got)
	}
}

func TestHelpOfFilters(t *testing.T) {
	s := newSession(t, hello())
	want := result{0, "| match PATTERN  only lines in which the regular expression is found\n", ""}
	if diff := cmp.Diff(want, s.do(t.Context(), "help match")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := s.do(t.Context(), "help all"); !strings.Contains(got.Out, "Filters, after any command\n  | match PATTERN ") {
		t.Error(got.Out)
	}
}
