package builtin

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

// asks is a cluster that only notes from where on it is asked.
type asks struct {
	*fake
	after control.Cursor
}

func (a *asks) Watch(_ context.Context, q any, _ func(any) error) error {
	a.after = q.(control.LogQuery).After
	return nil
}

func TestAfter(t *testing.T) {
	for _, tt := range []struct {
		flag   string
		want   control.Cursor
		status int
	}{
		{"", control.Cursor{}, 0},
		{"--after 1795236942998174309.13", control.Cursor{Epoch: 1795236942998174309, Seq: 13}, 0},
		{"--after 7", control.Cursor{}, commands.StatusUsage},
		{"--after 7.x", control.Cursor{}, commands.StatusUsage},
		{"--after -1.2", control.Cursor{}, commands.StatusUsage},
		{"--after 1.2.3", control.Cursor{}, commands.StatusUsage},
	} {
		s := newSession(t, hello())
		a := &asks{fake: s.control}
		in := s.in
		in.Line, in.Control = "log "+tt.flag, a
		status := s.registry.Run(t.Context(), in)
		if diff := cmp.Diff([]any{tt.want, tt.status}, []any{a.after, status}); diff != "" {
			t.Errorf("log %s (-want +got):\n%s", tt.flag, diff)
		}
	}
}

// TestMarks: our client is told where it is, within the line; nobody else is.
func TestMarks(t *testing.T) {
	mark := func(kind, value string) string { return "<" + kind + " " + value + ">" }
	for _, tt := range []struct{ line, want string }{
		{"log --lines 5", " <place 0.0>\n"},
		{"events", "<place 0.0>\n"},
		{"log --json", "}<place 0.0>\n"},
		{"reload", "<job 31>worker web/0 replaced (1/4)<place 0>\n"},
	} {
		for _, own := range []bool{true, false} {
			f := hello()
			f.log = []control.LogLine{{Worker: "web/0", Text: "GET / "}}
			f.happen = []control.Event{{Kind: "job.ended", Text: "done"}}
			s := newSession(t, f)
			if own {
				s.in.Mark = mark
			}
			s.run(t.Context(), tt.line)
			if got := s.out.String(); strings.Contains(got, tt.want) != own || strings.Contains(got, "<place") != own {
				t.Errorf("%s, own %t: %q", tt.line, own, got)
			}
		}
	}
}

// TestJobFollowAfter: what was seen is not shown again.
func TestJobFollowAfter(t *testing.T) {
	f := hello()
	f.events = []control.JobEvent{{Seq: 1, Event: "replaced", Text: "one"}, {Seq: 2, Event: "replaced", Text: "two"}, {Seq: 3, Event: "replaced", Text: "three"}}
	for line, want := range map[string]string{"job follow 31": "one\ntwo\nthree\n", "job follow 31 --after 2": "three\n", "job follow 31 --after 3": ""} {
		s := newSession(t, f)
		s.run(t.Context(), line)
		if diff := cmp.Diff(want, s.out.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", line, diff)
		}
	}
}
