package typeset

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Safe returns s such that it cannot act on a terminal or hide what it says:
// control characters but TAB, format characters (bidirectional marks, zero
// width), line separators and bytes that are not UTF-8 are shown as \n, \x1b,
// \u202e and the like. Backslashes stay, so the result is for eyes, not for
// parsing.
func Safe(s string) string {
	if ascii(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case acts(r):
			b.WriteString(spell(r))
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

// ascii reports whether s is printable ASCII, as nearly all text is.
func ascii(s string) bool {
	for i := range len(s) {
		if (s[i] < ' ' && s[i] != '\t') || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// acts reports whether a terminal does something else with r than to show it.
// Noncharacters are not for interchange, and to the line editor they are keys and
// places of its screen.
func acts(r rune) bool {
	return r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Noncharacter_Code_Point)
}

func spell(r rune) string {
	switch {
	case r == '\n':
		return `\n`
	case r == '\r':
		return `\r`
	case r < 0x80:
		return fmt.Sprintf(`\x%02x`, r)
	case r > 0xffff:
		return fmt.Sprintf(`\U%08x`, r)
	default:
		return fmt.Sprintf(`\u%04x`, r)
	}
}
