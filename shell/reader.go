package shell

import (
	"errors"
	"io"
	"sync"
	"unicode/utf8"
)

const (
	maxEscape    = 32       // bytes of one escape sequence
	maxUnbroken  = 64 << 10 // bytes without Enter
	maxTypeAhead = 64 << 10 // bytes not yet read by the line editor
)

const (
	keyInterrupt = 0x03 // Ctrl-C
	keyEnd       = 0x05 // Ctrl-E
	keyDelWord   = 0x17 // Ctrl-W
	keyEscape    = 0x1b
	keyDelete    = 0x7f
)

// endInterrupted stands in the queue for the Enter that follows a Ctrl-C. No
// NUL comes from outside.
const endInterrupted = 0x00

var (
	errUnbroken  = errors.New("too much input without Enter")
	errTypeAhead = errors.New("too much typed ahead")
)

const (
	pasteBegin = "\x1b[200~"
	pasteEnd   = "\x1b[201~"
)

// guard turns what a client sends into what x/term can be trusted with: only
// whole escape sequences, only those that x/term knows, valid text, one CR
// for each Enter, and never a Ctrl-C. x/term spins for ever on an escape
// sequence of 256 bytes, takes pastes of any length into memory, and ends on
// Ctrl-C (golang/go#62385).
type guard struct {
	seq    []byte // an unfinished escape sequence, from ESC on
	text   []byte // an unfinished UTF-8 rune
	paste  bool   // between pasteBegin and pasteEnd
	afterR bool   // the last byte was CR: a LF belongs to it
	since  int    // bytes since Enter
}

// step takes one byte and appends what x/term may have to out. A Ctrl-C is
// not among it; interrupt reports it.
func (g *guard) step(b byte, out []byte) (_ []byte, interrupt bool, err error) {
	if g.since++; g.since > maxUnbroken {
		return out, false, errUnbroken
	}
	lineFeed := g.afterR && b == '\n'
	g.afterR = b == '\r'
	switch {
	case lineFeed:
		return out, false, nil
	case b == keyInterrupt:
		return out, true, nil
	case b == '\r' || b == '\n':
		g.seq, g.text, g.since = g.seq[:0], g.text[:0], 0
		return append(out, '\r'), false, nil
	case b == keyEscape:
		g.text, g.seq = g.text[:0], append(g.seq[:0], b)
		return out, false, nil
	case len(g.seq) > 0:
		return g.escape(b, out), false, nil
	case b < 0x20 || b == keyDelete:
		return g.control(b, out), false, nil
	}
	return g.rune(b, out), false, nil
}

// interrupt returns to the ground state and appends what shows ^C at the end
// of the line and ends it.
func (g *guard) interrupt(out []byte) []byte {
	if g.paste {
		out = append(out, pasteEnd...)
	}
	*g = guard{seq: g.seq[:0], text: g.text[:0]}
	return append(out, keyEnd, '^', 'C', endInterrupted)
}

func (g *guard) control(b byte, out []byte) []byte {
	g.text = g.text[:0]
	if b == 0 || g.paste && b != '\t' {
		return out
	}
	return append(out, b)
}

// rune passes whole runes on; what is not UTF-8 and what x/term takes for an
// error (U+FFFD) or would echo raw (C1) is dropped.
func (g *guard) rune(b byte, out []byte) []byte {
	g.text = append(g.text, b)
	for len(g.text) > 0 && utf8.FullRune(g.text) {
		r, n := utf8.DecodeRune(g.text)
		if r != utf8.RuneError && (r < 0x80 || r > 0x9f) {
			out = append(out, g.text[:n]...)
		}
		g.text = append(g.text[:0], g.text[n:]...)
	}
	return out
}

// escape takes the next byte of a sequence.
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
	keys := g.keys(string(g.seq))
	g.seq = g.seq[:0]
	return append(out, keys...)
}

// whole reports whether seq is a whole sequence (ECMA-48 §5.4): ESC and a
// byte, ESC O and a byte, or ESC [ up to a final byte. The Linux console
// sends ESC [ [ and a byte for F1 to F5.
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

// keys returns what x/term knows a sequence as, empty if it knows none.
func (g *guard) keys(seq string) string {
	if g.paste {
		if seq == pasteEnd {
			g.paste = false
			return seq
		}
		return ""
	}
	switch seq {
	case pasteBegin:
		g.paste = true
		return seq
	case "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x1b[H", "\x1b[F", "\x1b[3~":
		return seq
	case "\x1bOA", "\x1bOB", "\x1bOC", "\x1bOD", "\x1bOH", "\x1bOF": // application mode
		return "\x1b[" + seq[2:]
	case "\x1b[1~", "\x1b[7~": // PuTTY, tmux, linux, rxvt
		return "\x1b[H"
	case "\x1b[4~", "\x1b[8~":
		return "\x1b[F"
	case "\x1b[1;3C", "\x1b[1;5C", "\x1b[5C", "\x1bf": // a word to the right
		return "\x1b[1;3C"
	case "\x1b[1;3D", "\x1b[1;5D", "\x1b[5D", "\x1bb":
		return "\x1b[1;3D"
	case "\x1b\x7f": // Alt-Backspace
		return string(rune(keyDelWord))
	}
	return ""
}

// input is the queue between the pump, which always reads what the client
// sends, and the line editor, which reads only at a prompt.
type input struct {
	ready chan struct{} // 1 slot: there is something to take
	space chan struct{} // 1 slot: something was taken
	done  chan struct{} // closed: nobody will take any more

	mu          sync.Mutex // protects what follows
	guard       guard
	queue       []byte
	reading     bool // the editor waits for a line; else a command runs
	interrupted bool // the line that was taken last ended with Ctrl-C
	err         error
	onInterrupt func() // called with mu held; must not block
}

func newInput(onInterrupt func()) *input {
	return &input{
		ready: make(chan struct{}, 1), space: make(chan struct{}, 1),
		done: make(chan struct{}), onInterrupt: onInterrupt,
	}
}

// pump reads r until it ends or what it sends is too much. An error of the
// latter kind is returned.
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
			return nil
		}
	}
}

// waitForSpace holds the client back while the editor is busy with what it
// has. While a command runs it never waits: a Ctrl-C must get through.
func (in *input) waitForSpace() bool {
	for {
		in.mu.Lock()
		full := in.reading && len(in.queue) >= maxTypeAhead/2
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

// put queues what the editor may have of p.
func (in *input) put(p []byte) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	defer poke(in.ready)
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
			// Dropping some of it would join halves of lines.
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

// begin says that the editor waits for a line.
func (in *input) begin() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.reading, in.interrupted = true, false
}

// end says that it does not any more, and whether the line that it took was
// given up with Ctrl-C.
func (in *input) end() (interrupted bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.reading = false
	poke(in.space)
	return in.interrupted
}

// take copies queued bytes to p, no further than the first Enter: what comes
// after it stays here, so that a Ctrl-C can drop it. With nothing queued it
// returns 0 and, if there will be nothing more, why.
func (in *input) take(p []byte) (int, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	n := 0
	for n < len(p) && n < len(in.queue) {
		p[n] = in.queue[n]
		n++
		if p[n-1] == endInterrupted || p[n-1] == '\r' {
			in.interrupted = p[n-1] == endInterrupted
			p[n-1] = '\r'
			in.reading = false
			break
		}
	}
	in.queue = in.queue[:copy(in.queue, in.queue[n:])]
	poke(in.space)
	if n == 0 && len(in.queue) == 0 {
		return 0, in.err
	}
	return n, nil
}
