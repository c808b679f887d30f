package client

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// keyQuestion is what guard makes of a typed ?: a Unicode noncharacter, which
// guard passes nothing on that is typed.
const keyQuestion rune = 0xfdd0

const (
	// adviceWithin bounds the wait for the server at TAB: it takes up to 200 ms,
	// plus the network.
	adviceWithin = 5 * time.Second

	enquiry     = "\x05" // docs/protocol.md, "To our own client"
	askComplete = "complete"
	askExplain  = "explain"
)

// adviser completes the line in the editor with what the server knows.
type adviser struct {
	columns func() int

	question bool // the key was ?; of the editor's goroutine
	listed   bool // TAB has inserted nothing, and no other key came since; of the same

	mu  sync.Mutex // protects the fields below
	ask func(kind string, columns int, line string) (insert string, ok bool)
}

// advised sets the function that asks the server; nil: none.
func (a *adviser) advised(ask func(kind string, columns int, line string) (string, bool)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ask = ask
}

// filter turns the question key into TAB, at which the editor calls
// [adviser.Do]. It runs on the editor's goroutine.
func (a *adviser) filter(r rune) (rune, bool) {
	a.question = r == keyQuestion
	a.listed = a.listed && r == '\t'
	if a.question {
		return '\t', true
	}
	return r, true
}

// Do implements readline.AutoCompleter: it returns what to insert at pos. The
// server itself shows the choices.
func (a *adviser) Do(line []rune, pos int) ([][]rune, int) {
	kind, insert := askComplete, ""
	if a.question {
		kind, insert = askExplain, "?"
	}
	if a.listed {
		return nil, 0
	}
	a.mu.Lock()
	ask := a.ask
	a.mu.Unlock()
	if ask != nil {
		if text, ok := ask(kind, a.columns(), string(line[:pos])); ok {
			insert, a.listed = text, text == "" && !a.question
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

// enquire asks the server about a line that is being edited. The editor calls
// it while the session listens.
func (t *talk) enquire(ctx context.Context, kind string, columns int, line string) (string, bool) {
	t.enquiries++
	number := strconv.Itoa(t.enquiries)
	if t.send(fmt.Sprintf("%s%s %s %d %s\n", enquiry, kind, number, columns, line)) != nil {
		return "", false // the reader reports the lost connection
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

// advise passes an answer on to enquire, which gives up after a while.
func (t *talk) advise(value string) {
	select {
	case t.advice <- value:
	default:
	}
}
