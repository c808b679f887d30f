package client

import (
	"context"
	"sync"
	"unicode/utf8"
)

// Keys of chzyer/readline.
const (
	lineStart = 0x01
	charLeft  = 0x02
	lineEnd   = 0x05
	charRight = 0x06
	leaveMode = 0x07 // Ctrl-G: out of a search
	nextLine  = 0x0e
	prevLine  = 0x10

	backSearch = 0x12
	foreSearch = 0x13

	maxEscape = 32
)

// edits are the control keys that chzyer/readline knows. It would write others
// into the line.
const edits = "\x01\x02\x03\x04\x05\x06\x07\x08\t\x0b\x0c\x0e\x10\x12\x13\x14\x15\x17\x19\x7f"

// guard turns the input of a terminal into input that is safe for
// chzyer/readline. There NUL ends the input, an unfinished escape sequence is
// collected without bound, and Home and End of PuTTY, tmux and the Linux
// console are letters.
type guard struct {
	seq    []byte // an unfinished escape sequence, from ESC on
	rune   []byte // an unfinished UTF-8 rune
	afterR bool   // a LF belongs to the CR before it
	delete bool   // the last key was Delete, which is the end of input on an empty line
	lone   bool   // the byte came alone: typed, not pasted
	search bool   // a search is under way, in which ? is a letter
}

// step takes one byte and returns what the editor gets; enter reports the end
// of the line.
func (g *guard) step(b byte) (out []byte, enter bool) {
	lineFeed := g.afterR && b == '\n'
	g.afterR = b == '\r'
	switch {
	case lineFeed:
		return nil, false
	case b == '\r' || b == '\n':
		g.seq, g.rune, g.delete, g.search = nil, nil, false, false
		return []byte{'\r'}, true
	case b == keyEscape:
		g.seq, g.rune = []byte{b}, nil
		return nil, false
	case b < 0x20 || b == keyRubout && len(g.seq) == 0:
		return g.control(b), b == keyInterrupt
	case len(g.seq) > 0:
		return g.escape(b), false
	}
	return g.text(b), false
}

func (g *guard) control(b byte) []byte {
	g.seq, g.rune, g.delete = nil, nil, false
	g.search = b == backSearch || b == foreSearch
	if b == keyInterrupt { // in a search Ctrl-C would only end the search
		return []byte{leaveMode, keyInterrupt}
	}
	for i := range len(edits) {
		if edits[i] == b {
			return []byte{b}
		}
	}
	return nil
}

func (g *guard) text(b byte) (out []byte) {
	g.delete = false
	if b == '?' && g.lone && !g.search && len(g.rune) == 0 {
		return []byte(string(keyQuestion))
	}
	g.rune = append(g.rune, b)
	for len(g.rune) > 0 && utf8.FullRune(g.rune) {
		r, n := utf8.DecodeRune(g.rune)
		if r != utf8.RuneError && (r < 0x80 || r > 0x9f) && r != keyQuestion {
			out = append(out, g.rune[:n]...)
		}
		g.rune = append(g.rune[:0], g.rune[n:]...)
	}
	return out
}

// escape takes the next byte of a sequence (ECMA-48 §5.4).
func (g *guard) escape(b byte) []byte {
	g.seq, g.search = append(g.seq, b), false
	n := len(g.seq)
	whole := n == 2 && b != '[' && b != 'O' || n == 3 && g.seq[1] == 'O' || n > 2 && g.seq[1] == '[' && b >= 0x40 && b <= 0x7e
	if !whole {
		if n >= maxEscape {
			g.seq = nil
		}
		return nil
	}
	keys, known := sequences[string(g.seq)]
	g.delete = string(g.seq) == "\x1b[3~"
	g.seq = nil
	if !known {
		return nil
	}
	return []byte(keys)
}

// sequences are the keys of more than one byte, with the names of
// chzyer/readline.
var sequences = map[string]string{
	"\x1b[A": string(rune(prevLine)), "\x1bOA": string(rune(prevLine)),
	"\x1b[B": string(rune(nextLine)), "\x1bOB": string(rune(nextLine)),
	"\x1b[C": string(rune(charRight)), "\x1bOC": string(rune(charRight)),
	"\x1b[D": string(rune(charLeft)), "\x1bOD": string(rune(charLeft)),
	"\x1b[H": string(rune(lineStart)), "\x1bOH": string(rune(lineStart)), "\x1b[1~": string(rune(lineStart)), "\x1b[7~": string(rune(lineStart)),
	"\x1b[F": string(rune(lineEnd)), "\x1bOF": string(rune(lineEnd)), "\x1b[4~": string(rune(lineEnd)), "\x1b[8~": string(rune(lineEnd)),
	"\x1b[3~":   string(rune(keyEnd)),
	"\x1b[1;5C": "\x1bf", "\x1b[1;3C": "\x1bf", "\x1b[5C": "\x1bf", "\x1bf": "\x1bf",
	"\x1b[1;5D": "\x1bb", "\x1b[1;3D": "\x1bb", "\x1b[5D": "\x1bb", "\x1bb": "\x1bb",
	"\x1bd": "\x1bd", "\x1b\x7f": "\x1b\x7f",
}

// keys is the standard input of the editor. It reads the terminal only while a
// line is edited, and not beyond the line, and it can end the line itself.
type keys struct {
	in     *Input
	opened chan struct{} // 1 slot: a line begins

	mu    sync.Mutex // protects the fields below
	ctx   context.Context
	open  bool
	hung  bool // the terminal has gone
	guard guard
	ahead []byte // read from the terminal, and not yet by the editor
}

// begin opens the input for one line, which ends with ctx.
func (k *keys) begin(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ctx, k.open, k.guard.delete = ctx, true, false
	select {
	case k.opened <- struct{}{}:
	default:
	}
}

func (k *keys) gone() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.hung
}

// deleted reports whether the line was ended by the key Delete.
func (k *keys) deleted() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.guard.delete
}

// Read runs on the editor's goroutine.
func (k *keys) Read(p []byte) (int, error) {
	buf := make([]byte, 256)
	for {
		if out := k.next(len(p)); len(out) > 0 {
			return copy(p, out), nil
		}
		k.mu.Lock()
		ctx, open := k.ctx, k.open
		k.mu.Unlock()
		if !open {
			<-k.opened
			continue
		}
		n, err := k.in.Read(ctx, buf)
		if err != nil {
			return k.stop(ctx, p), nil
		}
		k.mu.Lock()
		k.guard.lone = n == 1 && len(k.ahead) == 0
		k.ahead = append(k.ahead, buf[:n]...)
		k.mu.Unlock()
	}
}

func (k *keys) next(limit int) (out []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.open && len(k.ahead) > 0 && len(out)+utf8.UTFMax <= limit {
		got, enter := k.guard.step(k.ahead[0])
		k.ahead = k.ahead[1:]
		out = append(out, got...)
		if enter {
			k.open = false
		}
	}
	return out
}

// stop ends a line without a person: it leaves a search, and interrupts.
func (k *keys) stop(ctx context.Context, p []byte) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.open = false
	if ctx.Err() == nil {
		k.hung = true // after an error the editor would run what was typed so far
	}
	return copy(p, []byte{leaveMode, keyInterrupt})
}

func (k *keys) Close() error { return nil }
