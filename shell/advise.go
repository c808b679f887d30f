package shell

import (
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/norestart/norestart/commands"
)

// advice is what comes of TAB in a line.
type advice struct {
	from int    // the byte where text goes, in the place of what stands there up to the cursor
	text string // empty: nothing is certain
	rows string // what there is to choose from
}

// advise looks for what the end of typed may become; spaced tells that a space
// follows it.
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

// A line of our client in the TLS line shell that begins with enquiry is no
// command, but a question about a line that is being edited:
//
//	ENQ KIND NUMBER COLUMNS LINE
//
// It is answered by a mark "insert" with NUMBER, a space, and what to insert;
// what there is to read comes before that.
const (
	enquiry     = "\x05"
	askComplete = "complete"
	askExplain  = "explain"
)

// enquired answers a question of our client and reports whether text was one.
func (sh *lineShell) enquired(sess *session, text string) bool {
	rest, ok := strings.CutPrefix(text, enquiry)
	if !ok || !sh.own() {
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
	if !sess.looking(sess.gone, typed, func(ctx context.Context, c commands.Completion) { f.from, f.list = registry.Complete(ctx, c) }) {
		return ""
	}
	a := advise(typed, f, width, false)
	_, _ = io.WriteString(sh.out, a.rows) // a client that has gone is seen by the next read
	insert, ok := strings.CutPrefix(a.text, typed[a.from:])
	if !ok { // what is there would have to go
		return ""
	}
	return insert
}

// explain shows what may come next. Where ? is no question it is inserted.
func (sh *lineShell) explain(sess *session, typed string, width int) string {
	text, registry := new(string), sess.commands()
	if typed != "" && !strings.HasSuffix(typed, " ") ||
		!sess.looking(sess.gone, typed, func(ctx context.Context, c commands.Completion) { *text = registry.Explain(ctx, c, width) }) || *text == "" {
		return "?"
	}
	_, _ = io.WriteString(sh.out, *text) // a client that has gone is seen by the next read
	return ""
}
