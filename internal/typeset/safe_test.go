package typeset

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestSafe(t *testing.T) {
	for in, want := range map[string]string{
		"":                           "",
		"GET /cart?x=1\t500":         "GET /cart?x=1\t500",
		"größe 大 🙂":                  "größe 大 🙂",
		`C:\temp`:                    `C:\temp`,
		"a\x1b[31mred\x1b[0m":        `a\x1b[31mred\x1b[0m`,
		"two\nlines\r\n":             `two\nlines\r\n`,
		"\x00\x07\x7f":               `\x00\x07\x7f`,
		"\u009b31m":                  `\u009b31m`,
		"user\u202Enimda":            `user\u202enimda`,
		"\u200e\u2066x\u2069":        `\u200e\u2066x\u2069`,
		"a\u2028b\u2029":             `a\u2028b\u2029`,
		"zero\u200bwidth\ufeff":      `zero\u200bwidth\ufeff`,
		"\U000E0041":                 `\U000e0041`,
		"a\ufdd0b\uffff\U0001fffe":   `a\ufdd0b\uffff\U0001fffe`,
		"\xff\xc3(":                  `\xff\xc3(`,
		"a real replacement: \ufffd": "a real replacement: \ufffd",
	} {
		if diff := cmp.Diff(want, Safe(in)); diff != "" {
			t.Errorf("Safe(%q):\n%s", in, diff)
		}
	}
}

func FuzzSafe(f *testing.F) {
	for _, seed := range []string{"plain", "\x1b]0;title\x07", "\u202e", "\xff", "\u0085", "\U000E0001", "a\tb", `\x1b`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Safe(s)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, acts) {
			t.Fatalf("Safe(%q) = %q", s, got)
		}
		if again := Safe(got); again != got {
			t.Fatalf("Safe(%q) = %q, and of that %q", s, got, again)
		}
		encoded, err := JSON([]string{s})
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsFunc(strings.TrimSuffix(string(encoded), "\n"), acts) {
			t.Fatalf("JSON of %q acts: %q", s, encoded)
		}
		var back []string
		if err := json.Unmarshal(encoded, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{strings.ToValidUTF8(s, "\ufffd")}, back); diff != "" && utf8.ValidString(s) {
			t.Fatalf("JSON changed the text:\n%s", diff)
		}
	})
}
