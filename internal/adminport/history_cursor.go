package adminport

import (
	"strings"
)

// historyCursor is the place in the history, and the search in it, while a line
// is typed.
type historyCursor struct {
	at      int    // of the entry that is shown, 0 the newest; -1: none
	pending []rune // the line that was typed before

	searching bool
	query     []rune
	failed    bool
}

func (r *historyCursor) move(h *history, e *edited, key rune) {
	lines := h.list()
	next := r.at + 1
	if key == keyDown {
		next = r.at - 1
	}
	switch {
	case next >= len(lines) || next < -1:
		return
	case r.at == -1:
		r.pending = e.text
	}
	r.at = next
	e.text = r.pending
	if next >= 0 {
		e.text = []rune(lines[len(lines)-1-next])
	}
	e.pos = len(e.text)
}

func (r *historyCursor) begin(e *edited) {
	if r.at == -1 {
		r.pending = e.text
	}
	r.searching, r.query, r.failed, r.at = true, nil, false, -1
}

// search takes a key and reports whether it belongs to the search. Ctrl-C and
// Ctrl-G restore the line as it was before.
func (r *historyCursor) search(h *history, e *edited, key rune) bool {
	switch {
	case key == keySearch:
		r.find(h, e, r.at+1)
	case key == keyBackspace:
		r.query = r.query[:max(len(r.query)-1, 0)]
		r.find(h, e, 0)
	case key == keyHelp:
		r.extend(h, e, '?')
	case key == keyAbort || key == keyInterrupted:
		e.text, e.pos, r.at = r.pending, len(r.pending), -1
		return false
	case isKey(key):
		return false
	default:
		r.extend(h, e, key)
	}
	return true
}

func (r *historyCursor) extend(h *history, e *edited, key rune) {
	if len(r.query) < maxQuery {
		r.query = append(r.query, key)
	}
	r.find(h, e, max(r.at, 0))
}

// find shows the first line from entry at on, towards older ones, that contains
// the query.
func (r *historyCursor) find(h *history, e *edited, at int) {
	lines := h.list()
	for ; at < len(lines) && len(r.query) > 0; at++ {
		line := lines[len(lines)-1-at]
		if i := strings.Index(line, string(r.query)); i >= 0 {
			r.at, r.failed = at, false
			e.text = []rune(line)
			e.pos = len([]rune(line[:i]))
			e.settle()
			return
		}
	}
	r.failed = len(r.query) > 0
}

func (r *historyCursor) prompt(g *glyphs) string {
	what := "history"
	if r.failed {
		what = "not in the history"
	}
	query, _ := g.pad(&edited{text: r.query}, 0, 0) // x/term counts it, too
	return "(" + what + ": " + query + ") "
}
