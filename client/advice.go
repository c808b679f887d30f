package client

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// keyQuestion is what the guard makes of a ? that was typed: one of Unicode's
// noncharacters, which it lets nobody type.
const keyQuestion rune = 0xfdd0

const (
	// adviceWithin bounds the wait for the server at TAB: it takes 200 ms and the
	// way there and back.
	adviceWithin = 2 * time.Second

	enquiry     = "\x05" // docs/protocol.md, "To our own client"
	askComplete = "complete"
	askExplain  = "explain"
)

// adviser completes the line in the editor with what the server knows.
type adviser struct {
	columns func() int

	question bool // the key was ?; of the editor's goroutine

	mu  sync.Mutex // protects what follows
	ask func(kind string, columns int, line string) (insert string, ok bool)
}

// advised names who is asked from now on; nil: nobody.
func (a *adviser) advised(ask func(kind string, columns int, line string) (string, bool)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ask = ask
}

// filter makes TAB of the question, which [adviser.Do] is then asked; it is
// called by the goroutine of the editor.
func (a *adviser) filter(r rune) (rune, bool) {
	a.question = r == keyQuestion
	if a.question {
		return '\t', true
	}
	return r, true
}

// Do implements readline.AutoCompleter: what is to be inserted at pos, if
// anything is. What there is to choose from the server shows.
func (a *adviser) Do(line []rune, pos int) ([][]rune, int) {
	kind, insert := askComplete, ""
	if a.question {
		kind, insert = askExplain, "?"
	}
	a.mu.Lock()
	ask := a.ask
	a.mu.Unlock()
	if ask != nil {
		if text, ok := ask(kind, a.columns(), string(line[:pos])); ok {
			insert = text
		}
	}
	if pos < len(line) && line[pos] == ' ' {
		insert = strings.TrimSuffix(insert, " ")
	}
	if insert == "" {
		return nil, 0
	}
	return [][]rune{[]rune(insert)}, 0
}

// enquire asks the server about a line that is being edited. It is called by the
// editor while the talk listens.
func (t *talk) enquire(ctx context.Context, kind string, columns int, line string) (string, bool) {
	t.enquiries++
	number := strconv.Itoa(t.enquiries)
	if t.send(fmt.Sprintf("%s%s %s %d %s\n", enquiry, kind, number, columns, line)) != nil {
		return "", false // that the connection is lost is seen by who reads it
	}
	late := time.NewTimer(adviceWithin)
	defer late.Stop()
	for {
		select {
		case value := <-t.advice:
			if n, insert, ok := strings.Cut(value, " "); ok && n == number {
				return insert, true
			}
		case <-late.C:
			return "", false
		case <-ctx.Done():
			return "", false
		}
	}
}

// advise passes an answer on to who waits for it; nobody does after a while.
func (t *talk) advise(value string) {
	select {
	case t.advice <- value:
	default:
	}
}
