package adminport

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/internal/commandline"
	"github.com/norestart/norestart/internal/users"
)

// TestMarkIsClosed: what a user typed cannot end a mark early and write to a
// terminal, or make up another one.
func TestMarkIsClosed(t *testing.T) {
	got := mark("run", "foo \x1b\\\x1b_norestart;bye;0\x1b\\ \u009c")
	want := "\x1b_norestart;run;foo \\x1b\\\\x1b_norestart;bye;0\\x1b\\ \\u009c\x1b\\"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mark (-want +got):\n%s", diff)
	}
}

func TestWithoutCancel(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		cancels  int
	}{{"status\n", "status\n", 0}, {"\x03", "", 1}, {"a\x03b\x03\n", "ab\n", 2}, {"", "", 0}} {
		p, cancels := []byte(tt.in), 0
		n := withoutCancel(p, func() { cancels++ })
		if diff := cmp.Diff([]any{tt.want, tt.cancels}, []any{string(p[:n]), cancels}); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.in, diff)
		}
	}
}

// TestMarksOfExec: our client gets marks when it asks for them, and nobody else
// does, not for a key that runs another command than the client knows.
func TestMarksOfExec(t *testing.T) {
	f := start(t, Config{})
	signer := newSigner(t)
	for _, tt := range []struct {
		name, version, options, want string
		asks                         bool
	}{
		{"ours", ourVersion, "", "\x1b_norestart;run;\x1b\\foo\n1\n", true},
		{"ours does not ask", ourVersion, "", "foo\n1\n", false},
		{"another", "SSH-2.0-Go", "", "foo\n1\n", true},
		{"a forced command", ourVersion, `command="foo 2"`, "foo\n2\n", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f.users.set(users.User{Name: "carla", Role: "viewer", Keys: []string{strings.TrimSpace(tt.options + " " + authorizedKey(signer))}})
			cfg := f.withKey("carla", signer)
			cfg.ClientVersion = tt.version
			got := f.session(f.dial(cfg), "foo 1", "", func(s *gossh.Session) {
				if !tt.asks {
					return
				}
				ok, err := s.SendRequest(marksRequest, true, nil)
				if err != nil || ok != strings.HasPrefix(tt.want, "\x1b") {
					t.Errorf("the request: %t, %v", ok, err)
				}
			})
			if diff := cmp.Diff(result{Out: tt.want}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAdvise(t *testing.T) {
	list := func(texts ...string) *found {
		f := &found{from: 0}
		for _, text := range texts {
			f.list = append(f.list, commandline.Candidate{Text: text})
		}
		return f
	}
	for name, tt := range map[string]struct {
		typed  string
		f      *found
		spaced bool
		want   advice
	}{
		"nothing":            {"x", list(), false, advice{}},
		"one":                {"sta", list("status"), false, advice{text: "status "}},
		"one before a space": {"sta", list("status"), true, advice{text: "status"}},
		"as far as it goes":  {"w", list("worker info", "worker list"), false, advice{text: "worker "}},
		"to choose":          {"worker  ", list("worker info", "worker list"), false, advice{rows: "worker info\nworker list\n"}},
	} {
		if diff := cmp.Diff(tt.want, advise(tt.typed, tt.f, 20, tt.spaced), cmp.AllowUnexported(advice{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
