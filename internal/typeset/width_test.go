package typeset

import "testing"

func TestColumns(t *testing.T) {
	for text, want := range map[string]int{
		"abc": 3, "é": 1, "e\u0301": 1, "漢字": 4, "😀": 2, "👩\u200d💻": 4, "❤\ufe0f": 1, "한": 2, "\U0001f6d3": 1, "\u3248": 1, "\u1112\u1161\u11ab": 2, "\x1b[1;31mred\x1b[0m": 3,
	} {
		if got := Columns(text); got != want {
			t.Errorf("%q: %d columns, want %d", text, got, want)
		}
	}
}
