package adminport

import (
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/norestart/norestart/internal/typeset"
)

const (
	// firstStandIn to lastStandIn are private-use runes; each stands in x/term's
	// line for several of ours. Clients cannot send them (guard).
	firstStandIn = 0x100000
	lastStandIn  = 0x10fffd
	// maxMarks is how many marks a rune may carry.
	maxMarks = 8
	// firstMark is the first rune that may be a mark or wide.
	firstMark = 0x300
	// firstSymbol is the first rune that a joiner may join.
	firstSymbol = 0x2000

	joiner = '\u200d' // zero width joiner, between the parts of an emoji
)

func isStandIn(r rune) bool { return r >= firstStandIn && r <= lastStandIn }

// glyph is a rune with the runes behind it that take no column of their own.
type glyph struct {
	text  string // as it is typed
	shown string // as a terminal gets it
}

// glyphs turn a typed line into that of x/term, which counts a column for each
// rune, and back. There a rune with marks has a stand-in, a filler follows a wide
// one, and a gap stands where a wide one would begin in the last column of a row,
// because terminals do not let it.
//
// Terminals do not agree about joined emoji. They are kept but shown in their
// parts, without joiners, skin tones and variation selectors, so they take the
// same columns everywhere.
type glyphs struct {
	mu    sync.Mutex // protects what follows; a leaf
	list  []glyph
	known map[string]rune // by text
}

func (g *glyphs) reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.list, g.known = nil, nil
}

// pad is the line for x/term, and the byte of its cursor. before are the columns
// of the prompt.
func (g *glyphs) pad(e *edited, before, width int) (line string, pos int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	out, column, at := make([]rune, 0, len(e.text)), before, -1
	put := func(r rune) {
		out = append(out, r)
		column++
	}
	for i := 0; i < len(e.text); {
		next := glyphEnd(e.text, i)
		wide := typeset.Columns(string(e.text[i])) == 2
		if wide && width > 1 && column%width == width-1 {
			put(gap)
		}
		if e.pos < next && at < 0 {
			at = len(out)
		}
		if put(g.standIn(e.text[i:next])); wide {
			put(filler)
		}
		i = next
	}
	if at < 0 {
		at = len(out)
	}
	return string(out), len(string(out[:at]))
}

func (g *glyphs) standIn(text []rune) rune {
	if len(text) == 1 && !isStandIn(text[0]) && typeset.Columns(string(text)) > 0 {
		return text[0]
	}
	r, ok := g.known[string(text)]
	switch {
	case ok:
		return r
	case len(g.list) > lastStandIn-firstStandIn: // so many of one line are not typed by hand
		return text[0]
	case g.known == nil:
		g.known = make(map[string]rune)
	}
	r = firstStandIn + rune(len(g.list))
	g.list = append(g.list, glyph{string(text), visible(text)})
	g.known[string(text)] = r
	return r
}

// unpad reverses pad.
func (g *glyphs) unpad(line string, pos int) edited {
	g.mu.Lock()
	defer g.mu.Unlock()
	var e edited
	for i, r := range line {
		if i == pos {
			e.pos = len(e.text)
		}
		switch {
		case isStandIn(r):
			e.text = append(e.text, []rune(g.of(r).text)...)
		case !isKey(r):
			e.text = append(e.text, r)
		}
	}
	if pos >= len(line) {
		e.pos = len(e.text)
	}
	return e
}

func (g *glyphs) of(r rune) glyph {
	if i := int(r - firstStandIn); i < len(g.list) {
		return g.list[i]
	}
	return glyph{"", " "} // of a line that is over
}

// asShown turns the output of x/term into that for the terminal.
func (g *glyphs) asShown(p []byte) []byte {
	special := func(r rune) bool { return r == filler || r == gap || isStandIn(r) }
	if !hasAny(p, special) {
		return p
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]byte, 0, len(p))
	for len(p) > 0 {
		r, n := utf8.DecodeRune(p)
		switch {
		case r == filler:
		case r == gap:
			out = append(out, ' ')
		case isStandIn(r):
			out = append(out, g.of(r).shown...)
		default:
			out = append(out, p[:n]...)
		}
		p = p[n:]
	}
	return out
}

func hasAny(p []byte, special func(rune) bool) bool {
	for len(p) > 0 {
		r, n := utf8.DecodeRune(p)
		if special(r) {
			return true
		}
		p = p[n:]
	}
	return false
}

func visible(text []rune) string {
	shown := make([]rune, 0, len(text))
	if isStandIn(text[0]) {
		return string(unicode.ReplacementChar)
	}
	if typeset.Columns(string(text[0])) == 0 { // a mark on nothing
		shown = append(shown, ' ')
	}
	for i, r := range text {
		if i == 0 && typeset.Columns(string(r)) > 0 || isMark(r) {
			shown = append(shown, r)
		}
	}
	return string(shown)
}

func glyphEnd(text []rune, i int) int {
	end := i + 1
	for end < len(text) && hangsOn(text[end-1], text[end]) {
		end++
	}
	return end
}

// hangsOn reports whether r takes no column of its own behind last.
func hangsOn(last, r rune) bool {
	return typeset.Columns(string(r)) == 0 || isTone(r) && (typeset.Columns(string(last)) == 2 || isSelector(last))
}

// isJoined reports whether text[i] is the next part of an emoji.
func isJoined(text []rune, i int) bool { return text[i-1] == joiner && text[i] >= firstSymbol }

// isMark reports whether terminals agree that r is shown together with the rune
// before it.
func isMark(r rune) bool {
	return r != joiner && !isSelector(r) && !unicode.Is(unicode.Cf, r) && typeset.Columns(string(r)) == 0
}

// isSelector reports whether r says whether a symbol is a picture.
func isSelector(r rune) bool { return r >= 0xfe00 && r <= 0xfe0f }

// isTone reports whether r is a colour of the skin (UTS #51, emoji modifiers).
func isTone(r rune) bool { return r >= 0x1f3fb && r <= 0x1f3ff }

// mayHang reports whether r, which takes no column of its own, may be typed
// behind text. Joiners and selectors have a meaning only behind symbols and
// pictures: elsewhere they would be invisible in a command.
func mayHang(text []rune, r rune) bool {
	i := len(text) - 1
	for i > 0 && hangsOn(text[i-1], text[i]) {
		i--
	}
	switch {
	case i < 0, text[i] == ' ', typeset.Columns(string(text[i])) == 0, len(text)-i > maxMarks:
		return false
	case r == joiner || isSelector(r):
		return text[i] >= firstSymbol
	}
	return true
}
