package adminport

import (
	"errors"
	"io"
	"sync"
	"unicode"
	"unicode/utf8"
)

const (
	maxEscape    = 32       // bytes of one escape sequence
	maxUnbroken  = 64 << 10 // bytes without Enter
	maxTypeAhead = 64 << 10 // bytes not yet read by the line editor
)

const (
	ctrlC  = 0x03
	escape = 0x1b
	rubout = 0x7f
)

// endInterrupted stands in the queue for the Enter that follows a Ctrl-C. A
// client cannot send a NUL.
const endInterrupted = 0x00

var (
	errUnbroken  = errors.New("too much input without Enter")
	errTypeAhead = errors.New("too much typed ahead")
)

const (
	pasteBegin = "\x1b[200~"
	pasteEnd   = "\x1b[201~"
)

// guard turns input into what is safe for x/term: text that takes columns, one CR
// for each Enter, and keys (keys.go). x/term loops for ever on an escape sequence
// of 256 bytes, keeps pastes of any length in memory, and ends on Ctrl-C
// (golang/go#62385).
type guard struct {
	seq    []byte // an unfinished escape sequence, from ESC on
	text   []byte // an unfinished UTF-8 rune
	paste  bool   // between pasteBegin and pasteEnd
	afterR bool
	since  int // bytes since Enter
}

// step takes one byte and appends to out what x/term may have. It reports a
// Ctrl-C as interrupt instead.
func (g *guard) step(b byte, out []byte) (_ []byte, interrupt bool, err error) {
	if g.since++; g.since > maxUnbroken {
		return out, false, errUnbroken
	}
	lineFeed := g.afterR && b == '\n'
	g.afterR = b == '\r'
	switch {
	case lineFeed:
		return out, false, nil
	case b == ctrlC:
		return out, true, nil
	case b == '\r' || b == '\n':
		g.seq, g.text, g.since = g.seq[:0], g.text[:0], 0
		return append(out, '\r'), false, nil
	case b == escape:
		g.text, g.seq = g.text[:0], append(g.seq[:0], b)
		return out, false, nil
	case len(g.seq) > 0:
		return g.escape(b, out), false, nil
	case b < 0x20 || b == rubout:
		return g.control(b, out), false, nil
	case b == '?' && !g.paste:
		return utf8.AppendRune(out, keyHelp), false, nil
	}
	return g.rune(b, out), false, nil
}

// interrupt returns to the ground state and appends ^C and the end of the line.
func (g *guard) interrupt(out []byte) []byte {
	*g = guard{seq: g.seq[:0], text: g.text[:0]}
	return append(utf8.AppendRune(out, keyInterrupted), endInterrupted)
}

func (g *guard) control(b byte, out []byte) []byte {
	g.text = g.text[:0]
	key, known := controls[b]
	switch {
	case g.paste && b == '\t':
		return append(out, ' ')
	case g.paste || !known:
		return out
	}
	return utf8.AppendRune(out, key)
}

// rune passes whole runes on. It drops what is not UTF-8, what x/term takes for
// an error (U+FFFD) or would echo raw (C1), the runes of our keys, and runes
// without a column that are no marks: they would be invisible in a command.
func (g *guard) rune(b byte, out []byte) []byte {
	g.text = append(g.text, b)
	for len(g.text) > 0 && utf8.FullRune(g.text) {
		r, n := utf8.DecodeRune(g.text)
		if r != utf8.RuneError && (r < 0x80 || r > 0x9f) && !isKey(r) && !isStandIn(r) && (r == joiner || !unicode.Is(unicode.Cf, r)) {
			out = append(out, g.text[:n]...)
		}
		g.text = append(g.text[:0], g.text[n:]...)
	}
	return out
}

func (g *guard) escape(b byte, out []byte) []byte {
	if b < 0x20 {
		g.seq = g.seq[:0]
		return g.control(b, out)
	}
	g.seq = append(g.seq, b)
	if !g.whole() {
		if len(g.seq) >= maxEscape {
			g.seq = g.seq[:0]
		}
		return out
	}
	seq := string(g.seq)
	g.seq = g.seq[:0]
	switch key, known := sequences[seq]; {
	case seq == pasteBegin || seq == pasteEnd:
		g.paste = seq == pasteBegin
	case known && !g.paste:
		return utf8.AppendRune(out, key)
	}
	return out
}

// whole reports whether seq is a whole sequence (ECMA-48 §5.4): ESC and a byte,
// ESC O and a byte, or ESC [ up to a final byte. The Linux console sends ESC [ [
// and a byte for F1 to F5.
func (g *guard) whole() bool {
	n := len(g.seq)
	last := g.seq[n-1]
	switch g.seq[1] {
	case 'O':
		return n == 3
	case '[':
		return n > 2 && last >= 0x40 && last <= 0x7e && (n != 3 || last != '[')
	}
	return n == 2
}

// input is the queue between the pump, which always reads, and the line editor,
// which reads only at a prompt.
type input struct {
	ready chan struct{} // 1 slot: there is something to take
	space chan struct{} // 1 slot: something was taken
	done  chan struct{} // closed: no more will be taken

	mu          sync.Mutex // protects what follows
	guard       guard
	queue       []byte
	reading     bool // the editor waits for a line; else a command runs
	bare        bool // the command takes keys as they come
	interrupted bool // the last line ended with Ctrl-C
	err         error
	onInterrupt func() // called with mu held; must not block
}

func newInput(onInterrupt func()) *input {
	return &input{
		ready: make(chan struct{}, 1), space: make(chan struct{}, 1),
		done: make(chan struct{}), onInterrupt: onInterrupt,
	}
}

// pump reads r until it ends or sends too much; only the latter is an error.
func (in *input) pump(r io.Reader) error {
	buf := make([]byte, 512)
	for {
		n, err := r.Read(buf)
		if n > 0 && !in.waitForSpace() {
			return nil
		}
		if perr := in.put(buf[:n]); perr != nil {
			in.fail(perr)
			return perr
		}
		if err != nil {
			in.fail(err)
			if errors.Is(err, errAhead) {
				return err
			}
			return nil
		}
	}
}

// waitForSpace holds the client back while the editor is busy. While a command
// runs it never waits: a Ctrl-C must get through.
func (in *input) waitForSpace() bool {
	for {
		in.mu.Lock()
		full := (in.reading || in.bare) && len(in.queue) >= maxTypeAhead/2
		in.mu.Unlock()
		if !full {
			return true
		}
		select {
		case <-in.space:
		case <-in.done:
			return false
		}
	}
}

func (in *input) put(p []byte) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	defer poke(in.ready)
	if in.bare {
		in.queue = append(in.queue, p...)
		return nil
	}
	for _, b := range p {
		queue, interrupt, err := in.guard.step(b, in.queue)
		switch {
		case err != nil:
			in.queue = nil
			return err
		case interrupt && in.reading:
			in.queue = in.guard.interrupt(in.queue)
		case interrupt:
			in.queue = in.queue[:0] // type-ahead goes with the command
			in.guard = guard{}
			in.onInterrupt()
		case len(queue) > maxTypeAhead:
			// Dropping a part of it would join halves of lines.
			in.queue = nil
			return errTypeAhead
		default:
			in.queue = queue
		}
	}
	return nil
}

func (in *input) fail(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.err = err
	poke(in.ready)
}

func (in *input) begin() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.reading, in.interrupted = true, false
}

// end is called when the editor has a line. It reports whether the line was given
// up with Ctrl-C.
func (in *input) end() (interrupted bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.reading = false
	poke(in.space)
	return in.interrupted
}

// take copies queued bytes to p, up to the first Enter: what follows stays here,
// so that a Ctrl-C can drop it. With nothing queued it returns 0, and the reason
// if there will be no more.
func (in *input) take(p []byte) (int, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	n := 0
	for n < len(p) && n < len(in.queue) && in.queue[n] != endInterrupted && in.queue[n] != '\r' {
		p[n] = in.queue[n]
		n++
	}
	if n == 0 && len(in.queue) > 0 {
		in.interrupted = in.queue[0] == endInterrupted
		in.reading = false
		p[0], n = '\r', 1
	}
	in.queue = in.queue[:copy(in.queue, in.queue[n:])]
	poke(in.space)
	if n == 0 && len(in.queue) == 0 {
		return 0, in.err
	}
	return n, nil
}

// setBare lets a command take keys as they come, or the editor have lines again.
// What was typed ahead for the other goes.
func (in *input) setBare(bare bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.bare, in.queue, in.guard = bare, nil, guard{}
	poke(in.space)
}

// takeBare copies keys to p. Without any it returns 0, and the reason if there will
// be no more.
func (in *input) takeBare(p []byte) (int, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	n := copy(p, in.queue)
	in.queue = in.queue[:copy(in.queue, in.queue[n:])]
	poke(in.space)
	if n == 0 {
		return 0, in.err
	}
	return n, nil
}
