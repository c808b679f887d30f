package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/norestart/norestart/commands"
)

var (
	errInterrupted = errors.New("interrupted")
	errQuestion    = errors.New("another question is open")
)

// terminal edits lines for one session with a pty. readLine is called by one
// goroutine at a time; Write may be called by any.
type terminal struct {
	sess *session
	ch   *channel
	in   *input
	raw  io.Writer // the client's terminal as it is
	hist *history

	typed  atomic.Bool // a Ctrl-C that nothing shows yet
	glyphs glyphs

	open   sync.Mutex      // held while a line is read; protects what follows
	ctx    context.Context // of that line
	prompt string          // of that line
	asking bool            // it answers a question
	cut    []rune          // what Ctrl-Y puts back
	recall recall          // where in the history it is
	held   bool            // an Enter that waits until a search is ended
	left   bool            // Ctrl-D was typed at an empty line

	mu   sync.Mutex // protects term
	term *term.Terminal
}

func newTerminal(sess *session, ch *channel, raw io.Writer) *terminal {
	t := &terminal{sess: sess, ch: ch, raw: raw, hist: sess.srv.history.of(sess.who.name)}
	t.in = newInput(func() {
		t.typed.Store(true)
		poke(ch.interrupts)
	})
	t.reset()
	return t
}

// start begins to read what the client sends. The goroutine ends with the
// channel, which the connection waits for.
func (t *terminal) start() {
	t.ch.conn.start(func() {
		if err := t.in.pump(t.ch.ch); err != nil {
			t.sess.drop(err)
			t.ch.conn.end(err)
		}
	})
}

// stop lets the pump end.
func (t *terminal) stop() { close(t.in.done) }

// reset makes a new editor. x/term keeps a Ctrl-D that ended a line, and the
// half line of a question that was given up.
func (t *terminal) reset() {
	edit := term.NewTerminal(tty{t}, "")
	edit.AutoCompleteCallback = t.key
	edit.History = noHistory{}
	size := t.ch.window()
	_ = edit.SetSize(size.cols, size.rows) // writes nothing yet
	t.mu.Lock()
	defer t.mu.Unlock()
	t.term = edit
}

func (t *terminal) editor() *term.Terminal {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.term
}

// Write shows text, above the line that is being edited.
func (t *terminal) Write(p []byte) (int, error) { return t.editor().Write(p) }

// readLine reads one line at a prompt. A question (ask) has no history and no
// completion.
func (t *terminal) readLine(ctx context.Context, prompt string, ask bool) (string, error) {
	if !t.open.TryLock() {
		return "", errQuestion
	}
	defer t.open.Unlock()
	t.ctx, t.prompt, t.asking = ctx, prompt, ask
	t.recall, t.left = recall{at: -1}, false
	t.glyphs.reset()
	edit := t.editor()
	edit.SetPrompt(prompt)
	size := t.ch.window()
	_ = edit.SetSize(size.cols, size.rows)
	t.in.begin()
	line, err := edit.ReadLine()
	interrupted := t.in.end()
	if err != nil {
		t.reset()
		return "", err
	}
	if interrupted {
		return "", errInterrupted
	}
	return string(t.glyphs.unpad(line, 0).text), nil
}

// ask asks a question of the running command. Ctrl-C there is one for the
// command.
func (t *terminal) ask(ctx context.Context, prompt string) (string, error) {
	if ctx.Err() != nil { // Ctrl-C came before the question
		return "", context.Cause(ctx)
	}
	line, err := t.readLine(ctx, prompt, true)
	switch {
	case errors.Is(err, errInterrupted):
		poke(t.ch.interrupts)
		<-ctx.Done() // whoever waits for the command cancels it
		return "", context.Cause(ctx)
	case errors.Is(err, io.EOF):
		_, _ = io.WriteString(t, "\n")
	}
	return line, err
}

// showInterrupt shows the Ctrl-C that cancels a command, as terminals do.
func (t *terminal) showInterrupt() {
	if t.typed.Swap(false) {
		_, _ = io.WriteString(t, "^C\n")
	}
}

// tty is what x/term reads and writes.
type tty struct{ *terminal }

func (t tty) Write(p []byte) (int, error) {
	if _, err := t.raw.Write(t.glyphs.asShown(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Read waits for what the editor may have. It is called without the editor's
// lock, so it also sees to what else may happen at a prompt.
func (t tty) Read(p []byte) (int, error) {
	idle := time.NewTimer(t.sess.srv.cfg.IdleTimeout)
	defer idle.Stop()
	warned := false
	for {
		if t.ctx.Err() != nil {
			return 0, context.Cause(t.ctx)
		}
		if n, err := t.take(p); n > 0 || err != nil {
			return n, err
		}
		select {
		case <-t.in.ready:
		case <-t.ch.resized:
			size := t.ch.window()
			_ = t.editor().SetSize(size.cols, size.rows) // a lost client is seen by the next read
		case <-idle.C:
			if warned {
				t.sess.end(errIdle)
				return 0, errIdle
			}
			warned = true
			idle.Reset(t.warnIdle())
		case <-t.sess.life.Done():
			return 0, context.Cause(t.sess.life)
		case <-t.ctx.Done():
			return 0, context.Cause(t.ctx)
		}
	}
}

// take takes keys. An Enter that ends a search waits until the prompt is that
// of the line again.
func (t tty) take(p []byte) (int, error) {
	if t.left {
		return 0, io.EOF
	}
	if t.held {
		t.held, p[0] = false, '\r'
		return 1, nil
	}
	n, err := t.in.take(p)
	if n == 1 && p[0] == '\r' && t.recall.searching {
		t.held = true
		return utf8.EncodeRune(p, keyAccept), nil // x/term has room for 256 bytes
	}
	return n, err
}

// warnIdle says that the session is about to be closed and returns when.
func (t tty) warnIdle() time.Duration {
	limit := t.sess.srv.cfg.IdleTimeout
	left := min(limit, time.Minute)
	fmt.Fprintf(t.terminal, "idle for %s, closing in %s. Press a key to stay.\n", spell(limit), spell(left))
	return left
}

// spell writes a time as people do: "15 min", "60 s".
func spell(d time.Duration) string {
	if d > time.Minute && d%time.Minute == 0 {
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%g s", d.Seconds())
}

// interactive serves a shell with a pty and returns its exit status.
func (c *channel) interactive(sess *session) int {
	t := newTerminal(sess, c, sess.output(c.ch, c.conn))
	t.start()
	defer t.stop()
	if c.pty.moves() {
		t.editor().SetBracketedPasteMode(true)
		defer func() { t.editor().SetBracketedPasteMode(false) }()
	}
	fmt.Fprintln(t, sess.srv.greeting(sess.gone, sess.who.name))
	last := commands.StatusFailed
	for !sess.over() {
		t.tell("prompt", "")
		line, err := t.readLine(sess.gone, sess.prompt(), false)
		switch {
		case errors.Is(err, errInterrupted):
			continue
		case errors.Is(err, io.EOF):
			fmt.Fprintln(t)
			return commands.StatusOK
		case err != nil:
			fmt.Fprintln(t) // after what was typed; the session is over
			continue
		}
		sess.remember(line)
		t.tell("run", line)
		last = sess.run(request{
			line: line, mode: commands.Interactive, out: t, err: t,
			ask: t.ask, width: c.window().cols, height: c.window().rows, mark: marks(c.own()),
			live: c.pty.moves(), colour: c.pty.moves() && !c.noColour, interrupted: t.showInterrupt,
		})
		if sess.left.Load() {
			return commands.StatusOK
		}
	}
	sess.sayWhy(t)
	if sess.stopping() {
		return last // who stopped the cluster has not failed
	}
	return commands.StatusFailed
}
