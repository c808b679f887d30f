package builtin

import (
	"strings"
	"testing"
)

// TestMarkless: whatever pieces it comes in, a program cannot speak to our client.
func TestMarkless(t *testing.T) {
	for text, want := range map[string]string{
		"plain\n":                        "plain\n",
		"\x1b[31mred\x1b[m":              "\x1b[31mred\x1b[m",
		"a\x1b_norestart;run;stop\x1b\\": "arun;stop\x1b\\",
		"\x1b_nore\x1b_norestart;x":      "\x1b_norex",
		"\x1b\x1b_norestart;x":           "\x1bx",
		"\x1b_Gi=1;\x1b\\":               "\x1b_Gi=1;\x1b\\",
	} {
		for size := 1; size <= len(text); size++ {
			var out strings.Builder
			m := &markless{w: &out}
			for rest := text; rest != ""; {
				piece := rest[:min(size, len(rest))]
				rest = rest[len(piece):]
				if n, err := m.Write([]byte(piece)); n != len(piece) || err != nil {
					t.Fatal(n, err)
				}
			}
			if got := out.String(); got != want {
				t.Errorf("%q in pieces of %d: %q, want %q", text, size, got, want)
			}
		}
	}
}
