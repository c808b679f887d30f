package commandline

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/shlex"
)

// maxLine is how long a line may be, in bytes.
const maxLine = 64 << 10

// Parse splits a line into words as a POSIX shell does without expansion: single
// and double quotes, backslash, and comments from a word-starting # on. Columns
// in errors count characters from 1.
//
// A line break is refused, because a line is one command; so are invalid UTF-8
// and control characters but TAB. Filters after an unquoted | are checked and
// left out.
func Parse(line string) ([]string, error) {
	l, err := parse(line)
	return l.words, err
}

// parsed is a line in its parts.
type parsed struct {
	words   []string
	starts  []int // the column of each word, from 1
	filters []filter
}

func parse(line string) (parsed, error) {
	if len(line) > maxLine {
		return parsed{}, unparsable(0, "line longer than %d bytes", maxLine)
	}
	if err := checkText(line); err != nil {
		return parsed{}, err
	}
	var s scanner
	if err := s.scan([]rune(line)); err != nil {
		return parsed{}, err
	}
	l := parsed{starts: s.parts[0].starts}
	for i, part := range s.parts {
		words, err := shlex.Split(part.text)
		if err != nil {
			return parsed{}, unparsable(0, "parse: %v", err)
		}
		if i == 0 {
			l.words = words
			continue
		}
		f, bad := parseFilter(words)
		if bad != nil {
			bad.column = part.column
			return parsed{}, bad
		}
		l.filters = append(l.filters, f)
	}
	if len(l.filters) > maxFilters {
		return parsed{}, unparsable(0, "more than %d filters", maxFilters)
	}
	if len(l.words) == 0 && len(l.filters) > 0 {
		return parsed{}, unparsable(s.parts[1].column, "no command before the |")
	}
	return l, nil
}

// checkText refuses characters that shlex would take for letters or replace
// silently.
func checkText(text string) error {
	column := 0
	for i, r := range text {
		column++
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			return unparsable(column, "invalid UTF-8 at column %d", column)
		case r == '\n':
			return unparsable(0, "line break at column %d: one command a line", column)
		case r != '\t' && unicode.IsControl(r):
			return unparsable(column, "control character %U at column %d", r, column)
		}
	}
	return nil
}

// part is the text before, between or after the | of a line.
type part struct {
	text   string // as shlex may have it
	starts []int
	column int // of the | before it
}

// scanner walks a line in the states of shlex and rewrites it where shlex
// differs from POSIX: in double quotes a backslash is itself unless " \ $ or `
// follows (XCU §2.2.3).
type scanner struct {
	out    strings.Builder
	parts  []part
	starts []int
	bar    int  // column of the last |
	quote  rune // the open quote, 0 outside
	opened int
	word   bool // inside a word
}

func (s *scanner) scan(runes []rune) error {
	defer s.cut(0)
	for i := 0; i < len(runes); i++ {
		r := runes[i]
		switch {
		case s.quote != 0:
			i += s.quoted(runes[i:])
		case r == '#' && !s.word:
			return nil
		case r == '|':
			s.cut(i + 1)
		case r == '\\':
			if i+1 == len(runes) {
				return unparsable(i+1, "nothing follows the backslash at column %d", i+1)
			}
			s.begin(i + 1)
			s.write(runes[i : i+2])
			i++
		default:
			s.plain(r, i+1)
		}
	}
	if s.quote != 0 {
		return unparsable(s.opened, "unclosed quote (%c) at column %d", s.quote, s.opened)
	}
	return nil
}

func (s *scanner) cut(column int) {
	s.parts = append(s.parts, part{s.out.String(), s.starts, s.bar})
	s.out.Reset()
	s.starts, s.word, s.bar = nil, false, column
}

func (s *scanner) begin(column int) {
	if !s.word {
		s.starts = append(s.starts, column)
	}
	s.word = true
}

func (s *scanner) plain(r rune, column int) {
	switch r {
	case '\'', '"':
		s.begin(column)
		s.quote, s.opened = r, column
	case ' ', '\t':
		s.word = false
	default:
		s.begin(column)
	}
	s.out.WriteRune(r)
}

// quoted takes the first rune of rest inside quotes, with the next one if that is
// escaped, and returns how many it took beyond the first.
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

// typographic names the first character that a text program put in place of the
// one on the keyboard. Such characters are letters to us, so they are mentioned
// only when the line made no sense.
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
