package typeset

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// Plain ends a colour on a terminal.
const Plain = "\x1b[0m"

// Columns is how many columns of a terminal s takes. s has no control
// characters; escape sequences that set a colour take none.
func Columns(s string) int {
	n, escape := 0, false
	for _, r := range s {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		default:
			n += columns(r)
		}
	}
	return n
}

// columns is how many columns a rune takes: marks that join the one before
// them take none.
func columns(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf), r >= 0x1160 && r <= 0x11ff, r >= 0xd7b0 && r <= 0xd7ff: // and vowels and ends of a syllable in Hangul
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Clip shortens s to at most n columns and ends the colour that it cuts off.
func Clip(s string, n int) string {
	if len(s) <= n || Columns(s) <= n {
		return s
	}
	var b strings.Builder
	used, escape, coloured := 0, false, false
	for _, r := range s {
		switch {
		case r == '\x1b':
			escape, coloured = true, true
		case escape:
			escape = r != 'm'
		case used+columns(r) > n-1:
			b.WriteString("…")
			if coloured {
				b.WriteString(Plain)
			}
			return b.String()
		default:
			used += columns(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}
