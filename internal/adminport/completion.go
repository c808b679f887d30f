package adminport

import (
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/norestart/norestart/internal/commandline"
	"github.com/norestart/norestart/internal/typeset"
)

type advice struct {
	from int    // the byte from which text replaces the line, up to the cursor
	text string // empty: nothing is certain
	rows string // the candidates
}

// advise returns what the end of typed may become. spaced: a space follows a
// whole word.
func advise(typed string, f *found, cols int, spaced bool) advice {
	if len(f.list) == 0 {
		return advice{}
	}
	text := f.list[0].Text
	for _, c := range f.list[1:] {
		text = commonPrefix(text, c.Text)
	}
	if len(f.list) > 1 && len(text) <= len(squeezed(typed[f.from:])) {
		return advice{rows: inRows(f.list, cols)}
	}
	if len(f.list) == 1 && !spaced {
		text += " "
	}
	return advice{from: f.from, text: text}
}

// looking asks the registry about a line up to the cursor. It returns when the
// context of the question has ended, and asks nothing while a command of the
// application still looks for earlier words.
func (s *session) looking(ctx context.Context, line string, look func(ctx context.Context, c commandline.Completion)) bool {
	role, ok := s.role()
	if !ok || s.completing.Swap(true) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	done := make(chan struct{})
	s.srv.running.Go(func() {
		defer close(done)
		defer s.completing.Store(false)
		look(ctx, commandline.Completion{Line: line, User: s.who.name, Role: role, Control: s.srv.host.Control(s.who.name)})
	})
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// found is the result of a look. It is written before done is closed, and read
// only after.
type found struct {
	from int
	list []commandline.Candidate
}

func (t *terminal) complete(e *edited) {
	typed := string(e.text[:e.pos])
	f := new(found)
	registry := t.sess.commands()
	if t.asking || !t.sess.looking(t.ctx, typed, func(ctx context.Context, c commandline.Completion) { f.from, f.list = registry.Complete(ctx, c) }) {
		return
	}
	a := advise(typed, f, t.ch.window().cols, strings.HasPrefix(string(e.text[e.pos:]), " "))
	switch {
	case a.rows != "" && !t.listed:
		_, _ = io.WriteString(t, a.rows)
		t.listed = true
	case a.text != "":
		e.remove(len([]rune(typed[:a.from])), e.pos)
		e.insert([]rune(a.text)...)
	}
}

// explain shows what may come next and reports whether ? was a question: at the
// beginning of a word, outside quotes.
func (t *terminal) explain(e *edited) bool {
	if t.asking || e.pos > 0 && e.text[e.pos-1] != ' ' {
		return false
	}
	text := new(string)
	cols := t.ch.window().cols
	registry := t.sess.commands()
	if !t.sess.looking(t.ctx, string(e.text[:e.pos]), func(ctx context.Context, c commandline.Completion) { *text = registry.Explain(ctx, c, cols) }) || *text == "" {
		return false
	}
	_, _ = io.WriteString(t, *text)
	return true
}

func squeezed(typed string) string {
	words := strings.Join(strings.Fields(typed), " ")
	if words != "" && strings.HasSuffix(typed, " ") {
		words += " "
	}
	return words
}

func commonPrefix(a, b string) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return strings.ToValidUTF8(a[:n], "")
}

func inRows(list []commandline.Candidate, width int) string {
	var b strings.Builder
	column := 0
	for _, c := range list {
		n := typeset.Columns(c.Text)
		switch {
		case column == 0:
		case column+3+n > width:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteString("   ")
			column += 3
		}
		b.WriteString(c.Text)
		column += n
	}
	return b.String() + "\n"
}

// A line of our client in the TLS line shell that begins with enquiry is not a
// command but a question about the line that is being edited:
//
//	ENQ KIND NUMBER COLUMNS LINE
//
// The answer is text to read, if any, then a mark "insert" with NUMBER, a space,
// and the text to insert.
const (
	enquiry     = "\x05"
	askComplete = "complete"
	askExplain  = "explain"
)

// enquired answers text if it is a question of our client, and reports whether it
// was.
func (sh *lineShell) enquired(sess *session, text string) bool {
	rest, ok := strings.CutPrefix(text, enquiry)
	if !ok || !sh.isOurs() {
		return false
	}
	words := append(strings.SplitN(rest, " ", 4), "", "", "", "")
	cols, _ := strconv.ParseUint(words[2], 10, 32) // 0: not known
	width := clampSide(uint32(cols), wantCols)
	insert := ""
	if words[0] == askExplain {
		insert = sh.explain(sess, words[3], width)
	} else if words[0] == askComplete {
		insert = sh.complete(sess, words[3], width)
	}
	sh.tell("insert", words[1]+" "+insert)
	return true
}

func (sh *lineShell) complete(sess *session, typed string, width int) string {
	f, registry := new(found), sess.commands()
	if !sess.looking(sess.gone, typed, func(ctx context.Context, c commandline.Completion) { f.from, f.list = registry.Complete(ctx, c) }) {
		return ""
	}
	a := advise(typed, f, width, false)
	_, _ = io.WriteString(sh.out, a.rows) // a client that has gone is seen by the next read
	insert, ok := strings.CutPrefix(a.text, typed[a.from:])
	if !ok { // the line would have to be replaced
		return ""
	}
	return insert
}

// explain shows what may come next. Where ? is not a question it is inserted.
func (sh *lineShell) explain(sess *session, typed string, width int) string {
	text, registry := new(string), sess.commands()
	if typed != "" && !strings.HasSuffix(typed, " ") ||
		!sess.looking(sess.gone, typed, func(ctx context.Context, c commandline.Completion) { *text = registry.Explain(ctx, c, width) }) || *text == "" {
		return "?"
	}
	_, _ = io.WriteString(sh.out, *text) // a client that has gone is seen by the next read
	return ""
}
