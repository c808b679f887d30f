package shell

import (
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/norestart/norestart/commands"
)

const (
	// firstStandIn to lastStandIn are runes of private use that stand in x/term's
	// line for more than one of ours. None comes from outside.
	firstStandIn = 0x100000
	lastStandIn  = 0x10fffd
	// maxMarks is how many marks a rune may carry.
	maxMarks = 8
	// firstMark is the first rune that may hang on another, or be wide.
	firstMark = 0x300
	// firstSymbol is where those begin of which joiners make one.
	firstSymbol = 0x2000

	joiner = '\u200d' // zero width joiner, between the parts of an emoji
)

func isStandIn(r rune) bool { return r >= firstStandIn && r <= lastStandIn }

// glyph is a rune with what takes no column of its own behind it.
type glyph struct {
	text  string // as it is typed
	shown string // as a terminal is to see it
}

// glyphs turn the line of a person into that of x/term, which counts a column
// for each rune, and back. A rune with marks has a stand-in there, behind a wide
// one stands a filler, and where a wide one would begin in the last column of a
// row, as terminals do not let it, a gap.
//
// What terminals do not agree about is kept and not shown: of an emoji that is
// joined of several they see the parts, without joiners, colours of the skin and
// variation selectors. So many columns it takes everywhere.
type glyphs struct {
	mu    sync.Mutex // protects what follows; a leaf
	list  []glyph
	known map[string]rune // by text
}

// reset forgets all stand-ins. None may be in use.
func (g *glyphs) reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.list, g.known = nil, nil
}

// pad is the line as x/term may have it, and the byte of its cursor. before are
// the columns of the prompt.
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
		wide := commands.Columns(string(e.text[i])) == 2
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

// standIn returns the rune that stands for a glyph.
func (g *glyphs) standIn(text []rune) rune {
	if len(text) == 1 && !isStandIn(text[0]) && commands.Columns(string(text)) > 0 {
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

// unpad takes back what pad did.
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

// asShown turns what x/term writes into what a terminal is to see.
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

// visible is a glyph as every terminal shows it in the columns of its first
// rune.
func visible(text []rune) string {
	shown := make([]rune, 0, len(text))
	if isStandIn(text[0]) {
		return string(unicode.ReplacementChar)
	}
	if commands.Columns(string(text[0])) == 0 { // a mark on nothing
		shown = append(shown, ' ')
	}
	for i, r := range text {
		if i == 0 && commands.Columns(string(r)) > 0 || isMark(r) {
			shown = append(shown, r)
		}
	}
	return string(shown)
}

// glyphEnd is where the glyph ends that begins at text[i].
func glyphEnd(text []rune, i int) int {
	end := i + 1
	for end < len(text) && hangsOn(text[end-1], text[end]) {
		end++
	}
	return end
}

// hangsOn reports whether r takes no column of its own behind last.
func hangsOn(last, r rune) bool {
	return commands.Columns(string(r)) == 0 || isTone(r) && (commands.Columns(string(last)) == 2 || isSelector(last))
}

// isJoined reports whether text[i] is the next part of an emoji.
func isJoined(text []rune, i int) bool { return text[i-1] == joiner && text[i] >= firstSymbol }

// isMark reports whether terminals agree that r is shown together with the rune
// before it.
func isMark(r rune) bool {
	return r != joiner && !isSelector(r) && !unicode.Is(unicode.Cf, r) && commands.Columns(string(r)) == 0
}

// isSelector reports whether r says whether a symbol is a picture.
func isSelector(r rune) bool { return r >= 0xfe00 && r <= 0xfe0f }

// isTone reports whether r is a colour of the skin (UTS #51, emoji modifiers).
func isTone(r rune) bool { return r >= 0x1f3fb && r <= 0x1f3ff }

// mayHang reports whether r, which takes no column of its own, may be typed
// behind text. What nobody would see in a command may not: joiners and selectors
// have a meaning behind symbols and pictures only.
func mayHang(text []rune, r rune) bool {
	i := len(text) - 1
	for i > 0 && hangsOn(text[i-1], text[i]) {
		i--
	}
	switch {
	case i < 0, text[i] == ' ', commands.Columns(string(text[i])) == 0, len(text)-i > maxMarks:
		return false
	case r == joiner || isSelector(r):
		return text[i] >= firstSymbol
	}
	return true
}
