package commandline

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/commands"
)

func TestParse(t *testing.T) {
	for line, want := range map[string][]string{
		"":                        {},
		" \t ":                    {},
		"# a comment 'with quote": {},
		"foo 1 2 3":               {"foo", "1", "2", "3"},
		"a\tb":                    {"a", "b"},
		"worker revive  # all":    {"worker", "revive"},
		"a#b":                     {"a#b"},
		"''#b":                    {"#b"},
		`a "" ''`:                 {"a", "", ""},
		`'a b'"c d"e`:             {"a bc de"},
		`"\d+"`:                   {`\d+`},
		`"a\nb" "C:\temp"`:        {`a\nb`, `C:\temp`},
		`"\"\\\$` + "\\`" + `"`:   {`"\$` + "`"},
		`'\d\'`:                   {`\d\`},
		`a\ b \# \'`:              {"a b", "#", "'"},
		`\"`:                      {`"`},
		`"\\"`:                    {`\`},
		`'|' "|" \| # |`:          {"|", "|", "|"},
		"scale web -9 +2":         {"scale", "web", "-9", "+2"},
		"a\u00a0b “c":             {"a\u00a0b", "“c"},
		"\uFFFD":                  {"\uFFFD"},
	} {
		got, err := Parse(line)
		if err != nil {
			t.Errorf("Parse(%q): %v", line, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Parse(%q):\n%s", line, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"worker info 'x":                `unclosed quote (') at column 13`,
		`é "x`:                          `unclosed quote (") at column 3`,
		`"a\`:                           `unclosed quote (") at column 1`,
		`a\`:                            `nothing follows the backslash at column 2`,
		"a\xffb":                        `invalid UTF-8 at column 2`,
		"a\x00b":                        `control character U+0000 at column 2`,
		"a\x1bb":                        `control character U+001B at column 2`,
		"a\u009bb":                      `control character U+009B at column 2`,
		"a\nb":                          `line break at column 2: one command a line`,
		"'a\nb'":                        `line break at column 3: one command a line`,
		"status\r":                      `control character U+000D at column 7`,
		"status | grep x":               `"grep" is not a filter`,
		"status|grep":                   `"grep" is not a filter`,
		strings.Repeat("a", maxLine+1):  `line longer than 65536 bytes`,
		"# comment with \x1b in it":     `control character U+001B at column 16`,
		`"closed" and 'then' "not 'any`: `unclosed quote (") at column 21`,
	} {
		words, err := Parse(line)
		if err == nil || err.Error() != want || Failure(t.Context(), err).Status != commands.StatusUsage || words != nil {
			t.Errorf("Parse(%.40q) = %q, %v; want error %s", line, words, err, want)
		}
	}
}

// quoteWord is the simplest correct way to quote.
func quoteWord(word string) string {
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"foo 1 2 3", `"\d+" '\d+' \d+`, "a#b #c", "'x", `"x`, `x\`, "a | b", "\u00a0", "“a”", "a\x00", "\xff", `''""`, `"\\" "\""`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words, err := Parse(line)
		if err != nil {
			if f := Failure(t.Context(), err); f.Status != commands.StatusUsage || f.Message == "" {
				t.Fatalf("error %#v is not for a user", err)
			}
			return
		}
		var quoted []string
		for _, word := range words {
			if !utf8.ValidString(word) || strings.ContainsFunc(word, func(r rune) bool { return r != '\t' && unicode.IsControl(r) }) {
				t.Fatalf("word %q came through", word)
			}
			quoted = append(quoted, quoteWord(word))
		}
		again, err := Parse(strings.Join(quoted, " "))
		if err != nil && len(line) < maxLine/8 {
			t.Fatalf("quoted words %q: %v", quoted, err)
		}
		if diff := cmp.Diff(words, again); err == nil && diff != "" {
			t.Fatalf("words change when they are quoted:\n%s", diff)
		}
		if !strings.ContainsAny(line, "'\"\\#") {
			fields := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
			if diff := cmp.Diff(append([]string{}, fields...), words); diff != "" {
				t.Fatalf("a line without quotes is its fields:\n%s", diff)
			}
		}
	})
}
