package adminport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/commandline"
)

const (
	// countRest bounds the time to count the rest of a script.
	countRest    = 500 * time.Millisecond
	maxCountRest = 10_000
)

func (c *channel) serve(sess *session) int {
	switch {
	case c.exec && c.pty != nil:
		return c.execTerminal(sess)
	case c.exec:
		return c.execPlain(sess)
	case c.pty != nil:
		return c.interactive(sess)
	default:
		return c.script(sess)
	}
}

func (c *channel) execPlain(sess *session) int {
	out, errOut := sess.output(c.ch, c.conn), sess.output(c.ch.Stderr(), c.conn)
	in := &lateLines{open: func() *lines { return readLines(c.in, c.conn.start) }}
	defer in.close()
	if c.marked {
		_, _ = io.WriteString(out, mark("run", "")) // a client that has gone ends the command
	}
	status := sess.run(request{
		line: c.command, mode: commands.Exec, out: out, err: errOut, mark: marks(c.marked),
		ask: func(ctx context.Context, prompt string) (string, error) {
			c.want()
			return askPlain(ctx, in.get(), errOut, prompt)
		},
	})
	sess.sayWhy(errOut)
	return status
}

// lateLines are the lines of an input that is not read before the first question.
type lateLines struct {
	open func() *lines

	mu    sync.Mutex // protects lines
	lines *lines
}

func (l *lateLines) get() *lines {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lines == nil {
		l.lines = l.open()
	}
	return l.lines
}

func (l *lateLines) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lines != nil {
		l.lines.close()
	}
}

// askPlain asks without a terminal: the prompt goes to standard error and the
// answer is the next line of input.
func askPlain(ctx context.Context, in *lines, errOut io.Writer, prompt string) (string, error) {
	if _, err := io.WriteString(errOut, prompt); err != nil {
		return "", fmt.Errorf("ask: %w", err)
	}
	answer, err := in.next(ctx)
	if err != nil {
		_, _ = io.WriteString(errOut, "\n")
	}
	return answer, err
}

// execTerminal runs one command for a client with a terminal. That is raw, so a
// question needs the editor for its echo, and Ctrl-C comes as a byte.
func (c *channel) execTerminal(sess *session) int {
	out := crlf{sess.output(c.ch, c.conn)}
	errOut := crlf{sess.output(c.ch.Stderr(), c.conn)}
	t := newTerminal(sess, c, out.w)
	t.start()
	defer t.stop()
	status := sess.run(request{
		line: c.command, mode: commands.Exec, out: out, err: errOut, ask: t.ask,
		keyboard: t.keyboard, interrupted: t.showInterrupt,
	})
	sess.sayWhy(errOut)
	return status
}

// crlf ends lines for a terminal in raw mode.
type crlf struct{ w io.Writer }

func (c crlf) Write(p []byte) (int, error) {
	text := bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))
	text = bytes.ReplaceAll(text, []byte("\r\r\n"), []byte("\r\n"))
	if _, err := c.w.Write(text); err != nil {
		return 0, err
	}
	return len(p), nil
}

// script runs the lines of standard input and stops at the first that fails.
func (c *channel) script(sess *session) int {
	out, errOut := sess.output(c.ch, c.conn), sess.output(c.ch.Stderr(), c.conn)
	in := readLines(c.in, c.conn.start)
	defer in.close()
	for done := 0; ; {
		text, err := in.next(sess.gone, sess.life)
		status := commands.StatusUsage
		switch {
		case errors.Is(err, errLongLine), errors.Is(err, errAhead):
			fmt.Fprintf(errOut, "line %d: error: %v\n", in.number(), err)
		case sess.over():
			sess.sayWhy(errOut)
			return commands.StatusFailed
		case err != nil:
			return commands.StatusOK
		case blank(text):
			continue
		default:
			sess.sayOutdated(errOut)
			status = sess.runLine(in, text, out, errOut)
		}
		if status != commands.StatusOK {
			fmt.Fprintln(errOut, stopped(in, done))
			sess.sayWhy(errOut)
			return status
		}
		if done++; sess.left.Load() {
			return commands.StatusOK
		}
	}
}

func (s *session) runLine(in *lines, text string, out, errOut io.Writer) int {
	return s.run(request{
		line: text, mode: commands.Script, out: out, err: errOut,
		prefix: fmt.Sprintf("line %d: ", in.number()),
		ask: func(ctx context.Context, prompt string) (string, error) {
			return askPlain(ctx, in, errOut, prompt)
		},
	})
}

// stopped tells how far a script came. If its rest does not come soon, it is not
// counted.
func stopped(in *lines, done int) string {
	ctx, cancel := context.WithTimeout(context.Background(), countRest)
	defer cancel()
	total := done + 1
	for range maxCountRest {
		text, err := in.next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return fmt.Sprintf("stopped; %d of %d commands done", done, total)
		case err != nil && !errors.Is(err, errLongLine):
			return fmt.Sprintf("stopped; %d commands done", done)
		case !blank(text):
			total++
		}
	}
	return fmt.Sprintf("stopped; %d of more than %d commands done", done, total)
}

func blank(text string) bool {
	words, err := commandline.Parse(text)
	return err == nil && len(words) == 0
}
