package adminport

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
// goroutine at a time; Write by any.
type terminal struct {
	sess *session
	ch   *channel
	in   *input
	raw  io.Writer // the client's terminal as it is
	hist *history

	typed  atomic.Bool // a Ctrl-C that nothing shows yet
	glyphs glyphs

	open    sync.Mutex // held while a line is read; protects what follows
	ctx     context.Context
	prompt  string
	asking  bool
	cut     []rune        // what Ctrl-Y inserts
	browsed historyCursor // where in the history it is
	listed  bool          // TAB has listed candidates, and no other key came since
	held    bool          // an Enter that waits for the end of a search
	left    bool          // Ctrl-D was typed at an empty line

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

// start begins to read input. The goroutine ends with the channel, and the
// connection waits for it.
func (t *terminal) start() {
	t.ch.conn.start(func() {
		if err := t.in.pump(t.ch.in); err != nil {
			t.sess.drop(err)
			t.ch.conn.end(err)
		}
	})
}

func (t *terminal) stop() { close(t.in.done) }

// reset makes a new editor: x/term keeps a Ctrl-D that ended a line, and the
// unfinished line of a question that was given up.
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

// Write shows text above the line that is being edited.
func (t *terminal) Write(p []byte) (int, error) { return t.editor().Write(p) }

func (t *terminal) readLine(ctx context.Context, prompt string, ask bool) (string, error) {
	if !t.open.TryLock() {
		return "", errQuestion
	}
	defer t.open.Unlock()
	t.ctx, t.prompt, t.asking = ctx, prompt, ask
	t.browsed, t.left, t.listed = historyCursor{at: -1}, false, false
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

// ask asks a question of the running command, which a Ctrl-C then cancels.
func (t *terminal) ask(ctx context.Context, prompt string) (string, error) {
	if ctx.Err() != nil { // Ctrl-C came before the question
		return "", context.Cause(ctx)
	}
	line, err := t.readLine(ctx, prompt, true)
	switch {
	case errors.Is(err, errInterrupted):
		poke(t.ch.interrupts)
		<-ctx.Done() // cancelled by the goroutine that waits for the command
		return "", context.Cause(ctx)
	case errors.Is(err, io.EOF):
		_, _ = io.WriteString(t, "\n")
	}
	return line, err
}

func (t *terminal) showInterrupt() {
	if t.typed.Swap(false) {
		_, _ = io.WriteString(t, "^C\n")
	}
}

type tty struct{ *terminal }

func (t tty) Write(p []byte) (int, error) {
	if _, err := t.raw.Write(t.glyphs.asShown(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Read waits for input for the editor. It is called without the editor's lock, so
// it also handles the other events at a prompt.
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
		case <-t.sess.outdated:
			fmt.Fprintln(t.terminal, outdated)
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

// take takes keys. An Enter that ends a search waits until the prompt is that of
// the line again.
func (t tty) take(p []byte) (int, error) {
	if t.left {
		return 0, io.EOF
	}
	if t.held {
		t.held, p[0] = false, '\r'
		return 1, nil
	}
	n, err := t.in.take(p)
	if n == 1 && p[0] == '\r' && t.browsed.searching {
		t.held = true
		return utf8.EncodeRune(p, keyAccept), nil // x/term has room for 256 bytes
	}
	return n, err
}

// warnIdle tells the user that the session will be closed, and returns when.
func (t tty) warnIdle() time.Duration {
	limit := t.sess.srv.cfg.IdleTimeout
	left := min(limit, time.Minute)
	fmt.Fprintf(t.terminal, "idle for %s, closing in %s. Press a key to stay.\n", spell(limit), spell(left))
	return left
}

func spell(d time.Duration) string {
	if d > time.Minute && d%time.Minute == 0 {
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%g s", d.Seconds())
}

func (c *channel) interactive(sess *session) int {
	t := newTerminal(sess, c, sess.output(c.ch, c.conn))
	t.start()
	defer t.stop()
	if sess.moves = c.pty.moves(); sess.moves {
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
			fmt.Fprintln(t)
			continue
		}
		sess.remember(line)
		t.tell("run", line)
		last = sess.run(request{
			line: line, mode: commands.Interactive, out: t, err: t,
			ask: t.ask, keyboard: t.keyboard, width: c.window().cols, height: c.window().rows, mark: marks(c.isOurs()),
			live: sess.moves, colour: sess.moves && !c.noColour, interrupted: t.showInterrupt,
		})
		if sess.left.Load() {
			return commands.StatusOK
		}
	}
	sess.sayWhy(t)
	if sess.stopping() {
		return last // stopping the cluster is not a failure
	}
	return commands.StatusFailed
}
