package commands

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What a completer of the application makes is kept to words of a line, and a
// panic in it is none of the session's.
func TestCompleteOfTheApplication(t *testing.T) {
	words := []string{"one", "with space", "it's", "bell\a", "|", "over"}
	s := newSession(t, hello(), Command{
		Name: "pick", Role: Viewer, Usage: "WORD", Run: func(context.Context, *Call) error { return nil },
		Complete: func(_ context.Context, call *Call, word string) ([]string, error) {
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
		_, found := s.registry.Complete(t.Context(), Completion{Line: line, Role: Viewer, Control: s.control})
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

// A completer has 200 ms, whatever the caller's context has.
func TestCompleteIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(t, hello(), Command{
			Name: "slow", Role: Viewer, Run: func(context.Context, *Call) error { return nil },
			Complete: func(ctx context.Context, _ *Call, _ string) ([]string, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			},
		})
		began := time.Now()
		if _, list := s.registry.Complete(t.Context(), Completion{Line: "slow ", Role: Viewer}); list != nil || time.Since(began) != completeWithin {
			t.Errorf("%v after %s", list, time.Since(began))
		}
	})
}

func TestExplain(t *testing.T) {
	s := newSession(t, hello())
	for line, want := range map[string]string{
		"job ": lines(
			"job list    what runs, and what ended last",
			"job follow  show a job from its beginning to its end",
			"job cancel  stop a job after the worker in hand"),
		"worker info web/": lines(
			"worker info [ID] [--watch [TIME]] [--for TIME]: how many workers there are,",
			"    or all about one",
			"web/0",
			"web/1",
			"--watch  show it again and again, each time, until Ctrl-C",
			"--for    watch for this time, then end",
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
		got := s.registry.Explain(t.Context(), Completion{Line: line, Role: Admin, Control: s.control}, 80)
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
		from, list := s.registry.Complete(t.Context(), Completion{Line: line, Role: Admin, Control: s.control})
		for _, c := range list {
			squeezed := strings.Join(strings.Fields(line[from:]), " ")
			if !strings.HasPrefix(c.Text, squeezed) {
				t.Errorf("%q: %q in the place of %q", line, c.Text, line[from:])
			}
		}
		s.registry.Explain(t.Context(), Completion{Line: line, Role: Admin, Control: s.control}, 20)
	})
}
