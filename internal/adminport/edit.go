package adminport

import (
	"slices"

	"github.com/norestart/norestart/internal/typeset"
)

// maxEdit is how many runes a line at a prompt may have: x/term takes 4096,
// and each of ours may be two to it.
const maxEdit = 2000

// edited is a line that a person edits. x/term only shows it: it counts a column
// for every rune, so it cannot edit wide runes or marks (glyphs.go). The cursor
// stands between letters as a person sees them.
type edited struct {
	text []rune
	pos  int
}

// apply does what a key asks for. cut is the text that was cut last, before and
// after.
func (e *edited) apply(key rune, cut []rune) []rune {
	switch key {
	case keyLeft:
		e.pos = e.before(e.pos)
	case keyRight:
		e.pos = e.behind(e.pos)
	case keyWordLeft:
		e.pos = e.wordLeft()
	case keyWordRight:
		e.pos = e.wordRight()
	case keyHome:
		e.pos = 0
	case keyEnd:
		e.pos = len(e.text)
	case keySwap:
		e.swap()
	case keyYank:
		e.insert(cut...)
	case keyBackspace:
		e.remove(e.before(e.pos), e.pos)
	case keyDelete, keyDeleteOrLeave:
		e.remove(e.pos, e.behind(e.pos))
	case keyWordBack:
		return e.remove(e.wordLeft(), e.pos)
	case keyWordAhead:
		return e.remove(e.pos, e.wordRight())
	case keyCutEnd:
		return e.remove(e.pos, len(e.text))
	case keyCutStart:
		return e.remove(0, e.pos)
	default:
		if !isKey(key) && (typeset.Columns(string(key)) > 0 || mayHang(e.text[:e.pos], key)) {
			e.insert(key)
		}
	}
	return cut
}

func (e *edited) insert(runes ...rune) {
	if len(e.text)+len(runes) <= maxEdit {
		e.text = slices.Insert(e.text, e.pos, runes...)
		e.pos += len(runes)
		e.settle()
	}
}

// settle moves the cursor out of a letter that an edit has joined around it.
func (e *edited) settle() {
	for e.pos > 0 && e.pos < len(e.text) && (hangsOn(e.text[e.pos-1], e.text[e.pos]) || isJoined(e.text, e.pos)) {
		e.pos++
	}
}

// remove takes out text[from:to], as far as there is text.
func (e *edited) remove(from, to int) []rune {
	from, to = max(from, 0), min(to, len(e.text))
	if from >= to {
		return nil
	}
	gone := slices.Clone(e.text[from:to])
	e.text = slices.Delete(e.text, from, to)
	e.pos = from
	e.settle()
	return gone
}

func (e *edited) wordLeft() int {
	i := e.pos
	for i > 0 && e.text[i-1] == ' ' {
		i--
	}
	for i > 0 && e.text[i-1] != ' ' {
		i--
	}
	return i
}

func (e *edited) wordRight() int {
	i := e.pos
	for i < len(e.text) && e.text[i] == ' ' {
		i++
	}
	for i < len(e.text) && e.text[i] != ' ' {
		i++
	}
	return i
}

// swap exchanges the letters around the cursor; at the end of the line the last
// two.
func (e *edited) swap() {
	end := e.behind(e.pos)
	middle := e.before(end)
	begin := e.before(middle)
	if begin == middle || middle == end {
		return
	}
	swapped := slices.Concat(e.text[middle:end], e.text[begin:middle])
	copy(e.text[begin:end], swapped)
	e.pos = end
	e.settle()
}

// before is the beginning of the letter that ends at i.
func (e *edited) before(i int) int {
	for i--; i > 0 && (hangsOn(e.text[i-1], e.text[i]) || isJoined(e.text, i)); i-- {
	}
	return max(i, 0)
}

// behind is the end of the letter that begins at i.
func (e *edited) behind(i int) int {
	if i >= len(e.text) {
		return len(e.text)
	}
	for i = glyphEnd(e.text, i); i < len(e.text) && isJoined(e.text, i); i = glyphEnd(e.text, i) {
	}
	return i
}
