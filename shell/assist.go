package shell

import (
	"context"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/norestart/norestart/commands"
)

// key is called by x/term, on the goroutine that reads the line, for each key
// that it does not know itself: for all but Enter. It returns the line anew.
func (t *terminal) key(line string, pos int, key rune) (string, int, bool) {
	if key < firstMark && pos == len(line) && !t.recall.searching {
		return "", 0, false // typed at the end: x/term adds it
	}
	e := t.glyphs.unpad(line, pos)
	if t.recall.searching {
		t.search(&e, key)
	} else {
		t.do(&e, key)
	}
	size := t.ch.window()
	before := utf8.RuneCountInString(t.shownPrompt()) // with its fillers
	line, pos = t.glyphs.pad(&e, before, size.cols)
	return line, pos, true
}

// do is key where no search is under way.
func (t *terminal) do(e *edited, key rune) {
	switch key {
	case keyUp, keyDown:
		if !t.asking {
			t.recall.move(t.hist, e, key)
		}
	case keySearch:
		if !t.asking {
			t.recall.begin(e)
			t.redraw()
		}
	case keyComplete:
		t.complete(e)
	case keyHelp:
		if !t.explain(e) {
			e.insert('?')
		}
	case keyClear:
		_, _ = io.WriteString(t, "\x1b[H\x1b[2J")
	case keyInterrupted:
		e.apply(keyEnd, nil)
		e.insert('^', 'C')
	case keyDeleteOrLeave:
		t.left = len(e.text) == 0
		e.apply(keyDelete, nil)
	default:
		t.cut = e.apply(key, t.cut)
	}
}

// search is key during a search. What is no part of it ends it and counts.
func (t *terminal) search(e *edited, key rune) {
	if t.recall.search(t.hist, e, key) {
		t.redraw()
		return
	}
	t.recall.searching = false
	t.redraw()
	if key != keyAccept && key != keyAbort {
		t.do(e, key)
	}
}

// redraw shows the prompt that is right now. x/term writes it with the next
// thing that it shows above the line.
func (t *terminal) redraw() {
	t.editor().SetPrompt(t.shownPrompt())
	_, _ = t.Write(nil)
}

func (t *terminal) shownPrompt() string {
	if t.recall.searching {
		return t.recall.prompt(&t.glyphs)
	}
	return t.prompt
}

// looking asks the registry about a line up to the cursor. It comes back when
// the context of the question has ended, and asks nothing while a command of
// the application still looks for words from the last time.
func (s *session) looking(ctx context.Context, line string, look func(ctx context.Context, c commands.Completion)) bool {
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
		look(ctx, commands.Completion{Line: line, User: s.who.name, Role: role, Control: s.srv.host.Control(s.who.name)})
	})
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// found is what came of looking for words. It is written before done is closed
// and not read unless it was.
type found struct {
	from int
	list []commands.Candidate
}

// complete completes the word before the cursor, as far as there is one way.
func (t *terminal) complete(e *edited) {
	typed := string(e.text[:e.pos])
	f := new(found)
	registry := t.sess.commands()
	if t.asking || !t.sess.looking(t.ctx, typed, func(ctx context.Context, c commands.Completion) { f.from, f.list = registry.Complete(ctx, c) }) {
		return
	}
	a := advise(typed, f, t.ch.window().cols, strings.HasPrefix(string(e.text[e.pos:]), " "))
	switch {
	case a.rows != "":
		_, _ = io.WriteString(t, a.rows)
	case a.text != "":
		e.remove(len([]rune(typed[:a.from])), e.pos)
		e.insert([]rune(a.text)...)
	}
}

// explain shows what may come next and reports whether ? was a question: where
// a word begins, outside quotes.
func (t *terminal) explain(e *edited) bool {
	if t.asking || e.pos > 0 && e.text[e.pos-1] != ' ' {
		return false
	}
	text := new(string)
	cols := t.ch.window().cols
	registry := t.sess.commands()
	if !t.sess.looking(t.ctx, string(e.text[:e.pos]), func(ctx context.Context, c commands.Completion) { *text = registry.Explain(ctx, c, cols) }) || *text == "" {
		return false
	}
	_, _ = io.WriteString(t, *text)
	return true
}

// squeezed has one blank where there are many.
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

// inRows sets candidates in rows that fit.
func inRows(list []commands.Candidate, width int) string {
	var b strings.Builder
	column := 0
	for _, c := range list {
		n := commands.Columns(c.Text)
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
