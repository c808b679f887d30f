package client

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func pass(text string) string {
	var g guard
	var out []byte
	for i := range len(text) {
		got, _ := g.step(text[i])
		out = append(out, got...)
	}
	return string(out)
}

func TestGuard(t *testing.T) {
	for _, tt := range []struct{ name, typed, want string }{
		{"text", "wörker ✓", "wörker ✓"},
		{"enter", "a\r\nb\nc\r", "a\rb\rc\r"},
		{"NUL would end the input", "a\x00b", "ab"},
		{"unknown controls would be letters", "a\x18\x1a\x0fb", "ab"},
		{"Ctrl-C leaves a search first", "\x03", "\x07\x03"},
		{"arrows", "\x1b[A\x1bOB\x1b[C\x1bOD", "\x10\x0e\x06\x02"},
		{"Home and End", "\x1b[1~\x1b[4~\x1b[7~\x1b[8~\x1b[H\x1bOF", "\x01\x05\x01\x05\x01\x05"},
		{"words", "\x1b[1;5C\x1bb\x1bd\x1b\x7f", "\x1bf\x1bb\x1bd\x1b\x7f"},
		{"Delete", "a\x1b[3~", "a\x04"},
		{"unknown sequences", "\x1b[15~\x1b[200~x\x1b[201~\x1bOPy\x1bz", "xy"},
		{"unfinished", "\x1b[" + strings.Repeat("0", 255) + "x", strings.Repeat("0", 255-maxEscape+2) + "x"},
		{"not UTF-8, C1", "a\xff\u0085b", "ab"},
	} {
		if diff := cmp.Diff(tt.want, pass(tt.typed)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// A ? that is typed is a question; a pasted one, and one of a search, is a letter.
func TestGuardQuestion(t *testing.T) {
	for typed, want := range map[string]string{
		"a?":                "a\ufdd0",
		"\x12a?":            "\x12a?",
		"\x12a\x07?":        "\x12a\x07\ufdd0",
		"\x12\x1b[A?":       "\x12\x10\ufdd0",
		"\xe2?":             "?",
		string(keyQuestion): "",
		"a\tb":              "a\tb",
		"\x12a\r":           "\x12a\r",
	} {
		g := guard{lone: true}
		var out []byte
		for i := range len(typed) {
			got, _ := g.step(typed[i])
			out = append(out, got...)
		}
		if diff := cmp.Diff(want, string(out)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", typed, diff)
		}
	}
	if diff := cmp.Diff("a?", pass("a?")); diff != "" {
		t.Errorf("pasted (-want +got):\n%s", diff)
	}
}

// FuzzGuard: whatever is typed, the editor gets valid text, no NUL, and no
// escape sequence that it would not end.
func FuzzGuard(f *testing.F) {
	f.Add([]byte("worker info\r"))
	f.Add([]byte("\x1b[1;5C\x1b[\x1b\x00\xf0\x9f"))
	f.Fuzz(func(t *testing.T, typed []byte) {
		var g guard
		for _, b := range typed {
			out, enter := g.step(b)
			if !utf8.Valid(out) || strings.ContainsAny(string(out), "\x00\n\x18\x1a") || strings.Contains(string(out), "\x1b[") {
				t.Fatalf("%q gives %q", typed, out)
			}
			if last := len(out) - 1; enter != (last >= 0 && (out[last] == '\r' || out[last] == keyInterrupt)) {
				t.Fatalf("%q gives %q, enter %t", typed, out, enter)
			}
			if len(g.seq) > maxEscape || len(g.rune) >= 2*utf8.UTFMax {
				t.Fatalf("%d and %d bytes held", len(g.seq), len(g.rune))
			}
		}
	})
}

func TestEscape(t *testing.T) {
	for _, tt := range []struct {
		keys, sent  string
		leave, help bool
	}{
		{"~.", "", true, false},
		{"a\r~.", "a\r", true, false},
		{"a~.", "a~.", false, false},
		{"~?x", "x", false, true},
		{"~~.", "~.", false, false},
		{"~x~.", "~x~.", false, false},
		{"~", "", false, false},
	} {
		var e escape
		var sent []byte
		left, helped := false, false
		for i := 0; i < len(tt.keys) && !left; i++ {
			var help bool
			sent, left, help = e.step(tt.keys[i], sent)
			helped = helped || help
		}
		if diff := cmp.Diff([]any{tt.sent, tt.leave, tt.help}, []any{string(sent), left, helped}); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.keys, diff)
		}
	}
}
