package commandline

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/typeset"
)

// misread is an error about a place in the line, which a person is shown.
type misread struct {
	err    *control.Error
	column int    // from 1; 0: where word is
	word   string // of the line
	brief  string // the message beside the word; empty: that of err
}

func (m *misread) Error() string { return m.err.Error() }
func (m *misread) Unwrap() error { return m.err }

func unparsable(column int, format string, args ...any) *misread {
	return &misread{column: column, err: &control.Error{Code: codeUnparsable, Message: fmt.Sprintf(format, args...)}}
}

// caret shows a person the line again and points at the word that the error is
// about: that of m, which may be nil, or one that a wrong usage or name quotes.
// It is empty where that would not help: without a terminal, if the line wraps,
// or if its columns cannot be counted.
func (in *Invocation) caret(e *control.Error, m *misread, line parsed) string {
	if m == nil {
		m = &misread{word: quotedWord(e, line.words)}
	}
	at := m.column
	if i := slices.Index(line.words, m.word); at == 0 && m.word != "" && i >= 0 && i < len(line.starts) {
		at = line.starts[i]
	}
	odd := strings.ContainsFunc(in.Line, func(r rune) bool { return r < ' ' || r > '~' })
	if at == 0 || in.Screen.Height == 0 || in.Screen.Width <= len(in.Line) || odd {
		return ""
	}
	return fmt.Sprintf("%s\n%s^ %s\n", in.Line, strings.Repeat(" ", at-1), typeset.Safe(cmp.Or(m.brief, e.Message)))
}

// quotedWord is the word of the line that the message of a wrong usage or name
// quotes; empty if it quotes none.
func quotedWord(e *control.Error, words []string) string {
	if statusOf[e.Code] != statusOf[control.ErrUsage.Code] && !strings.HasPrefix(e.Code, "no_such_") {
		return ""
	}
	for _, w := range words {
		if strings.Contains(e.Message, strconv.Quote(w)) || strings.HasPrefix(w, "-") && strings.HasSuffix(e.Message, "unknown flag: "+w) {
			return w
		}
	}
	return ""
}
