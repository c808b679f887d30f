package commands

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/shlex"
)

// MaxLine is how long a line may be, in bytes.
const MaxLine = 64 << 10

// Parse splits a line into words as a POSIX shell does without expansion:
// single and double quotes, backslash, and comments from a word-starting # on.
// A line without a word gives none. Errors are [*Error] with status 2; columns
// count characters from 1.
//
// A line break is refused: a line is one command. So are invalid UTF-8, control
// characters but TAB, and an unquoted |, which is kept for filters.
func Parse(line string) ([]string, error) {
	if len(line) > MaxLine {
		return nil, unparsable("line longer than %d bytes", MaxLine)
	}
	if err := checkText(line); err != nil {
		return nil, err
	}
	repaired, err := repair(line)
	if err != nil {
		return nil, err
	}
	words, err := shlex.Split(repaired)
	if err != nil {
		return nil, unparsable("parse: %w", err)
	}
	return words, nil
}

func unparsable(format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Status: StatusUsage, Code: "unparsable", Message: err.Error(), Err: err}
}

// checkText refuses what shlex would take for letters or replace silently.
func checkText(text string) error {
	column := 0
	for i, r := range text {
		column++
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			return unparsable("invalid UTF-8 at column %d", column)
		case r == '\n':
			return unparsable("line break at column %d: one command a line", column)
		case r != '\t' && unicode.IsControl(r):
			return unparsable("control character %U at column %d", r, column)
		}
	}
	return nil
}

// scanner walks a line in the states of shlex and rewrites where shlex differs
// from POSIX.
type scanner struct {
	out    strings.Builder
	quote  rune // the open quote, 0 outside
	opened int  // its column
	word   bool // inside a word
}

// repair returns line such that shlex reads it as POSIX means it: in double
// quotes a backslash is itself unless " \ $ or ` follows (XCU §2.2.3).
func repair(line string) (string, error) {
	var s scanner
	runes := []rune(line)
	for i := 0; i < len(runes); i++ {
		r := runes[i]
		switch {
		case s.quote != 0:
			i += s.quoted(runes[i:])
		case r == '#' && !s.word:
			return s.out.String(), nil
		case r == '|':
			err := unparsable("unquoted | at column %d: there are no pipes", i+1)
			err.Hint = "quote it: '|'"
			return "", err
		case r == '\\':
			if i+1 == len(runes) {
				return "", unparsable("nothing follows the backslash at column %d", i+1)
			}
			s.word = true
			s.write(runes[i : i+2])
			i++
		default:
			s.plain(r, i+1)
		}
	}
	if s.quote != 0 {
		return "", unparsable("unclosed quote (%c) at column %d", s.quote, s.opened)
	}
	return s.out.String(), nil
}

// plain takes a rune outside quotes.
func (s *scanner) plain(r rune, column int) {
	switch r {
	case '\'', '"':
		s.quote, s.opened, s.word = r, column, true
	case ' ', '\t':
		s.word = false
	default:
		s.word = true
	}
	s.out.WriteRune(r)
}

// quoted takes the first of rest inside quotes, with the next one where that
// is escaped, and returns how many it took beyond the first.
func (s *scanner) quoted(rest []rune) int {
	r := rest[0]
	switch {
	case r == s.quote:
		s.quote = 0
	case r == '\\' && s.quote == '"':
		if len(rest) > 1 && strings.ContainsRune("\"\\$`", rest[1]) {
			s.write(rest[:2])
			return 1
		}
		s.out.WriteRune(r) // doubled
	}
	s.out.WriteRune(r)
	return 0
}

func (s *scanner) write(runes []rune) {
	for _, r := range runes {
		s.out.WriteRune(r)
	}
}

// typographic names the first character that a text program put where the
// keyboard's own was meant. Such characters are letters to us, so they are
// worth a word only when the line made no sense.
func typographic(line string) string {
	column := 0
	for _, r := range line {
		column++
		switch r {
		case '\u00A0':
			return fmt.Sprintf("column %d is a no-break space (U+00A0): type a plain one", column)
		case '“', '”', '„', '‘', '’', '«', '»':
			return fmt.Sprintf("column %d is a typographic quote (%c): type ' or \"", column, r)
		case '–', '—':
			return fmt.Sprintf("column %d is a dash (%c): type -", column, r)
		}
	}
	return ""
}
