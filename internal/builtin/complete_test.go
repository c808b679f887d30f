package builtin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/commandline"
)

// What a completer of the application makes is kept to words of a line, and a
// panic in it is none of the session's.
func TestCompleteOfTheApplication(t *testing.T) {
	words := []string{"one", "with space", "it's", "bell\a", "|", "over"}
	s := newSession(t, hello(), commands.Command{
		Name: "pick", Role: commands.Viewer, Usage: "WORD", Run: func(context.Context, *commands.Call) error { return nil },
		Complete: func(_ context.Context, call *commands.Call, word string) ([]string, error) {
			switch {
			case word == "boom":
				panic(word)
			case len(call.Args) > 1:
				return words, errors.New("no")
			}
			return words, nil
		},
	})
	complete := func(line string) (list []string) {
		_, found := s.registry.Complete(t.Context(), commandline.Completion{Line: line, Role: commands.Viewer, Control: s.control})
		for _, c := range found {
			list = append(list, c.Text)
		}
		return list
	}
	for line, want := range map[string][]string{
		"pick ": {"one", "over"}, "pick ov": {"over"}, "pick boom": nil, "pick one ": nil, "pick one o": nil,
	} {
		if diff := cmp.Diff(want, complete(line)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", line, diff)
		}
	}
}

func TestExplain(t *testing.T) {
	s := newSession(t, hello())
	for line, want := range map[string]string{
		"job ": lines(
			"job list    jobs that run, and those that ended last",
			"job follow  show a job from its beginning to its end",
			"job cancel  stop a job after the current worker"),
		"worker info web/": lines(
			"worker info [ID] [--watch [TIME]] [--for TIME]: how many workers there are,",
			"    or all about one",
			"web/0",
			"web/1",
			"--watch  show it anew every time until Ctrl-C",
			"--for    stop watching after this time",
			"--json   for programs",
			"--help   what the command does",
			"<Enter>"),
		"log | ": lines(
			"match   PATTERN only lines in which the regular expression is found",
			"except  PATTERN only lines in which it is not",
			"count   how many lines there are",
			"head    [N] the first N lines (10)",
			"tail    [N] the last N lines (10)"),
		"worker info 'x": "",
	} {
		got := s.registry.Explain(t.Context(), commandline.Completion{Line: line, Role: commands.Admin, Control: s.control}, 80)
		if diff := cmp.Diff(byLine(want), byLine(got)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", line, diff)
		}
	}
}

func byLine(text string) []string {
	all := strings.Split(text, "\n")
	slices.Sort(all)
	return all
}

func FuzzComplete(f *testing.F) {
	for _, seed := range []string{"worker info we", " scale  web | ma", "log --worker ", "é 'x", "a\\ b", "# x", "help wor", "x\xff"} {
		f.Add(seed)
	}
	s := newSession(f, hello())
	f.Fuzz(func(t *testing.T, line string) {
		from, list := s.registry.Complete(t.Context(), commandline.Completion{Line: line, Role: commands.Admin, Control: s.control})
		for _, c := range list {
			squeezed := strings.Join(strings.Fields(line[from:]), " ")
			if !strings.HasPrefix(c.Text, squeezed) {
				t.Errorf("%q: %q in the place of %q", line, c.Text, line[from:])
			}
		}
		s.registry.Explain(t.Context(), commandline.Completion{Line: line, Role: commands.Admin, Control: s.control}, 20)
	})
}
