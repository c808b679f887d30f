package adminport

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	gossh "golang.org/x/crypto/ssh"
)

func withPty(s *gossh.Session) {
	if err := s.RequestPty("xterm", 24, 80, gossh.TerminalModes{}); err != nil {
		panic(err)
	}
}

func TestExec(t *testing.T) {
	f := start(t, Config{})
	client := f.dial(f.password("viewer", "look"))
	for _, tt := range []struct {
		name, command, stdin string
		pty                  bool
		want                 result
	}{
		{"words", "foo 1 '2 3'", "", false, result{Out: "foo\n1\n2 3\n"}},
		{"words with a terminal", "foo 1", "", true, result{Out: "foo\r\n1\r\n"}},
		{"question", "baz", "21\n", false, result{Out: "21*2 = 42\n", Err: "Give me a number: "}},
		{"question, no line end", "baz", "21", false, result{Out: "21*2 = 42\n", Err: "Give me a number: "}},
		{"question with a terminal", "baz", "21\r", true, result{Out: "Give me a number: 21\r\n21*2 = 42\r\n"}},
		{"question, end of input", "baz", "", false, result{Err: "Give me a number: \nerror: end of input\n", Status: 1}},
		{"question, Ctrl-D", "baz", "\x04", true, result{Out: "Give me a number: \r\n", Err: "error: end of input\r\n", Status: 1}},
		{"question, long answer", "baz", strings.Repeat("1", 9000) + "\n", false, result{Err: "Give me a number: \nerror: line longer than 8 kB\n", Status: 1}},
		{"unknown", "fooo", "", false, result{Err: "error: unknown command \"fooo\". Did you mean: foo\n", Status: 127}},
		{"unclosed quote", "foo 'x", "", false, result{Err: "error: unclosed quote (') at column 5\n", Status: 2}},
		{"denied", "shut", "", false, result{Err: "error: denied: shut needs role admin, you are viewer\n", Status: 77}},
		{"nothing to do", "# nothing", "", false, result{}},
		{"E11 panic", "boom", "", false, result{Err: "error: boom: internal error; the log has the details\n", Status: 1}},
		{"E12 timed out", "fail 124", "", false, result{Err: "error: as you wish\n", Status: 124}},
		{"E12 never 255", "fail 255", "", false, result{Err: "error: as you wish\n", Status: 1}},
		{"exit", "exit", "", false, result{}},
		{"history is empty", "history", "", false, result{}},
		{"two commands in one", "foo\nfoo", "", false, result{Err: "error: line break at column 4: one command a line\n", Status: 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var setup func(*gossh.Session)
			if tt.pty {
				setup = withPty
			}
			got := f.session(client, tt.command, tt.stdin, setup)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%q (-want +got):\n%s", tt.command, diff)
			}
		})
	}
	if !strings.Contains(f.logs.String(), "boom!") {
		t.Errorf("the panic is not in the log:\n%s", f.logs)
	}
}

func TestScript(t *testing.T) {
	f := start(t, Config{})
	client := f.dial(f.password("viewer", "look"))
	for _, tt := range []struct {
		name, stdin string
		want        result
	}{
		{"nothing", "", result{}},
		{"two commands", "foo 1\n\n# comment\nfoo 2", result{Out: "foo\n1\nfoo\n2\n"}},
		{"CRLF", "foo 1\r\n", result{Out: "foo\n1\n"}},
		{
			"stops at the first error", "# say\nfoo\nfooo\nfoo 2\n",
			result{Out: "foo\n", Err: "line 3: error: unknown command \"fooo\". Did you mean: foo\nstopped; 1 of 3 commands done\n", Status: 127},
		},
		{"the answer is the next line", "baz\n21\nfoo\n", result{Out: "21*2 = 42\nfoo\n", Err: "Give me a number: "}},
		{
			"no answer", "baz\n",
			result{Err: "Give me a number: \nline 1: error: end of input\nstopped; 0 of 1 commands done\n", Status: 1},
		},
		{"exit leaves", "foo\nexit\nfoo\n", result{Out: "foo\n"}},
		{".exit leaves", ".exit\nfoo\n", result{}},
		{
			"long line", "foo " + strings.Repeat("x", 9000) + "\nfoo\n",
			result{Err: "line 1: error: line longer than 8 kB\nstopped; 0 of 2 commands done\n", Status: 2},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, f.session(client, "", tt.stdin, nil)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
