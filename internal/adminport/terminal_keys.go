package adminport

import (
	"io"
	"unicode/utf8"
)

// key is called by x/term, on the goroutine that reads the line, for each key
// that it does not know: all but Enter. It returns the new line.
func (t *terminal) key(line string, pos int, key rune) (string, int, bool) {
	if key != keyComplete {
		t.listed = false
	}
	if key < firstMark && pos == len(line) && !t.browsed.searching {
		return "", 0, false // typed at the end: x/term adds it
	}
	e := t.glyphs.unpad(line, pos)
	if t.browsed.searching {
		t.search(&e, key)
	} else {
		t.do(&e, key)
	}
	size := t.ch.window()
	before := utf8.RuneCountInString(t.shownPrompt()) // with its fillers
	line, pos = t.glyphs.pad(&e, before, size.cols)
	return line, pos, true
}

func (t *terminal) do(e *edited, key rune) {
	switch key {
	case keyUp, keyDown:
		if !t.asking {
			t.browsed.move(t.hist, e, key)
		}
	case keySearch:
		if !t.asking {
			t.browsed.begin(e)
			t.redraw()
		}
	case keyComplete:
		t.complete(e)
	case keyHelp:
		if !t.explain(e) {
			e.insert('?')
		}
	case keyClear:
		_, _ = io.WriteString(t, clearScreen)
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

// search is key during a search. A key that does not belong to it ends it and is
// then done.
func (t *terminal) search(e *edited, key rune) {
	if t.browsed.search(t.hist, e, key) {
		t.redraw()
		return
	}
	t.browsed.searching = false
	t.redraw()
	if key != keyAccept && key != keyAbort {
		t.do(e, key)
	}
}

// redraw sets the prompt. x/term writes it with its next output above the line.
func (t *terminal) redraw() {
	t.editor().SetPrompt(t.shownPrompt())
	_, _ = t.Write(nil)
}

func (t *terminal) shownPrompt() string {
	if t.browsed.searching {
		return t.browsed.prompt(&t.glyphs)
	}
	return t.prompt
}
