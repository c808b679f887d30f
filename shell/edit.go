package shell

import (
	"slices"

	"github.com/norestart/norestart/commands"
)

// maxEdit is how many runes a line at a prompt may have: x/term takes 4096,
// and each of ours may be two to it.
const maxEdit = 2000

// edited is a line in the hands of a person. x/term shows it and no more: it
// counts a column for every rune, so it cannot edit what has wide ones.
type edited struct {
	text []rune
	pos  int // of the cursor, among text
}

// apply does what a key asks for. cut is what was cut last, and what is now.
func (e *edited) apply(key rune, cut []rune) []rune {
	switch key {
	case keyLeft:
		e.pos = max(e.pos-1, 0)
	case keyRight:
		e.pos = min(e.pos+1, len(e.text))
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
		e.remove(e.pos-1, e.pos)
	case keyDelete, keyDeleteOrLeave:
		e.remove(e.pos, e.pos+1)
	case keyWordBack:
		return e.remove(e.wordLeft(), e.pos)
	case keyWordAhead:
		return e.remove(e.pos, e.wordRight())
	case keyCutEnd:
		return e.remove(e.pos, len(e.text))
	case keyCutStart:
		return e.remove(0, e.pos)
	default:
		if !isKey(key) {
			e.insert(key)
		}
	}
	return cut
}

func (e *edited) insert(runes ...rune) {
	if len(e.text)+len(runes) <= maxEdit {
		e.text = slices.Insert(e.text, e.pos, runes...)
		e.pos += len(runes)
	}
}

// remove takes out text[from:to], as much of it as there is.
func (e *edited) remove(from, to int) []rune {
	from, to = max(from, 0), min(to, len(e.text))
	if from >= to {
		return nil
	}
	gone := slices.Clone(e.text[from:to])
	e.text = slices.Delete(e.text, from, to)
	e.pos = from
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

// swap exchanges the runes around the cursor, at the end of the line the last
// two.
func (e *edited) swap() {
	i := min(e.pos, len(e.text)-1)
	if i < 1 {
		return
	}
	e.text[i-1], e.text[i] = e.text[i], e.text[i-1]
	e.pos = i + 1
}

// pad is the line as x/term may have it, and the byte of its cursor: behind a
// wide rune stands a filler, and where one would begin in the last column of a
// row, as terminals do not let it, a gap. before are the columns of the prompt.
func (e *edited) pad(before, width int) (line string, pos int) {
	out, column := make([]rune, 0, len(e.text)), before
	at := 0
	put := func(r rune) {
		out = append(out, r)
		column++
	}
	for i, r := range e.text {
		wide := commands.Columns(string(r)) == 2
		if wide && width > 1 && column%width == width-1 {
			put(gap)
		}
		if i == e.pos {
			at = len(out)
		}
		if put(r); wide {
			put(filler)
		}
	}
	if e.pos == len(e.text) {
		at = len(out)
	}
	return string(out), len(string(out[:at]))
}

// unpad takes back what pad did.
func unpad(line string, pos int) edited {
	var e edited
	for i, r := range line {
		if i == pos {
			e.pos = len(e.text)
		}
		if !isKey(r) {
			e.text = append(e.text, r)
		}
	}
	if pos >= len(line) {
		e.pos = len(e.text)
	}
	return e
}

// asShown turns what x/term writes into what a terminal is to see.
func asShown(p []byte) []byte {
	if !slices.Contains(p, 0xef) { // the first byte of both in UTF-8
		return p
	}
	out := make([]byte, 0, len(p))
	for len(p) > 0 {
		switch {
		case len(p) >= 3 && string(p[:3]) == string(filler):
			p = p[3:]
		case len(p) >= 3 && string(p[:3]) == string(gap):
			out, p = append(out, ' '), p[3:]
		default:
			out, p = append(out, p[0]), p[1:]
		}
	}
	return out
}
