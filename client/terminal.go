package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/term"

	"github.com/norestart/norestart/internal/commandline"
)

// maxTyped bounds the text typed at a prompt that is kept for the next
// connection.
const maxTyped = 4 << 10

// pasteOff stops the terminal from bracketing pasted text.
const pasteOff = "\x1b[?2004l"

// Terminal is a session over ssh, in which the server edits the line, or one
// command that takes the terminal.
type Terminal struct {
	SSH      *SSH
	Retry    Retry
	In       *Input
	TTY      *os.File // the terminal
	Out, Err io.Writer
	Term     string // its kind: TERM
	Line     string // the command; empty: a session
	// Interrupts gets a value for each Ctrl-C while there is no connection.
	Interrupts <-chan struct{}

	conn    *Conn
	running progress

	mu    sync.Mutex // protects the fields below
	typed []byte     // at the prompt, since it was shown
	busy  bool       // a command runs
	lost  bool       // the line is longer than what was kept
}

// Run runs the session to its end and returns its exit status.
func (t *Terminal) Run(ctx context.Context) (int, error) {
	if err := interruptible(ctx, t.Interrupts, t.dial); err != nil {
		return 0, err
	}
	for resumed := false; ; resumed = true {
		status, err := t.serve(ctx, resumed)
		if !errors.Is(err, ErrLost) {
			return status, err
		}
		again := func(ctx context.Context) error { return t.Retry.again(ctx, t.Out, t.dial) }
		if err := interruptible(ctx, t.Interrupts, again); err != nil {
			return 0, t.running.orLost(err)
		}
	}
}

func (t *Terminal) dial(ctx context.Context) (err error) {
	t.conn, err = t.SSH.Dial(ctx)
	return err
}

// serve runs one connection. It restores the terminal before it returns.
func (t *Terminal) serve(ctx context.Context, resumed bool) (status int, err error) {
	defer t.conn.Close()
	defer context.AfterFunc(ctx, func() { _ = t.conn.client.Close() })()
	state, err := term.MakeRaw(int(t.TTY.Fd()))
	if err != nil {
		return 0, fmt.Errorf("terminal: %w", err)
	}
	defer func() {
		_, _ = io.WriteString(t.Out, pasteOff) // the server may have turned it on
		err = errors.Join(err, term.Restore(int(t.TTY.Fd()), state))
		if errors.Is(err, ErrLost) {
			fmt.Fprintln(t.Out) // after the line that was edited
		}
	}()
	ch, reqs, err := t.conn.client.OpenChannel("session", nil)
	if err != nil {
		return 0, ErrLost
	}
	defer ch.Close()
	if err := t.begin(ch); err != nil {
		return 0, err
	}
	return t.carry(ctx, ch, reqs, resumed)
}

// TakesTerminal reports whether the command of a line wants a person's terminal,
// with every key.
func TakesTerminal(line string) bool {
	words, err := commandline.Parse(line)
	return err == nil && len(words) > 1 && words[0] == "worker" && words[1] == "attach" && !slices.Contains(words, "--json")
}

// begin asks for a shell or a command with a terminal (RFC 4254 §6.2, §6.5).
func (t *Terminal) begin(ch ssh.Channel) error {
	cols, rows := t.size()
	pty := struct {
		Term                      string
		Cols, Rows, Width, Height uint32
		Modes                     string
	}{t.Term, cols, rows, 0, 0, "\x00"}
	start, payload := "shell", []byte(nil)
	if t.Line != "" {
		start, payload = "exec", ssh.Marshal(struct{ Command string }{t.Line})
	}
	for _, r := range []struct {
		name    string
		payload []byte
	}{{"pty-req", ssh.Marshal(pty)}, {start, payload}} {
		ok, err := ch.SendRequest(r.name, true, r.payload)
		if err != nil {
			return ErrLost
		}
		if !ok {
			return fmt.Errorf("%s: the server gives no session", t.SSH.Addr())
		}
	}
	return nil
}

func (t *Terminal) size() (cols, rows uint32) {
	w, h, err := term.GetSize(int(t.TTY.Fd()))
	if err != nil || w <= 0 || h <= 0 {
		return 80, 24
	}
	return uint32(w), uint32(h)
}

// carry copies keys and output until the session ends.
func (t *Terminal) carry(ctx context.Context, ch ssh.Channel, reqs <-chan *ssh.Request, resumed bool) (int, error) {
	status, left := -1, false
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var typing error
	wg.Go(func() {
		left, typing = t.keys(ctx, ch)
		if left || ctx.Err() != nil {
			_ = t.conn.client.Close() // the rest of the output does not matter
		}
		_ = ch.Close()
	})
	wg.Go(func() { _ = t.show(ch, resumed); _ = ch.Close() })
	wg.Go(func() { _, _ = io.Copy(t.Err, ch.Stderr()) })
	wg.Go(func() { t.resize(ctx, ch) })
	for req := range reqs {
		var exit struct{ Status uint32 }
		if req.Type == "exit-status" && ssh.Unmarshal(req.Payload, &exit) == nil {
			status = int(exit.Status & 0xff)
		}
		if req.WantReply {
			_ = req.Reply(false, nil) // an error ends the loop by itself
		}
	}
	interrupted := ctx.Err() != nil
	stop()
	wg.Wait()
	switch {
	case interrupted:
		return 0, context.Canceled
	case left:
		return 0, nil
	case status >= 0:
		return status, nil
	case errors.Is(typing, io.EOF): // the terminal has gone
		return 1, nil
	}
	return 0, ErrLost
}

// keys sends keys; left reports that the person left by ~.
func (t *Terminal) keys(ctx context.Context, ch ssh.Channel) (left bool, err error) {
	var e escape
	for buf := make([]byte, 512); ; {
		n, err := t.In.Read(ctx, buf)
		if err != nil {
			return false, err
		}
		var out []byte
		for _, b := range buf[:n] {
			var leave, help bool
			if out, leave, help = e.step(b, out); leave {
				return true, nil
			} else if help {
				fmt.Fprint(t.Out, escapeHelp)
			}
		}
		t.remember(out)
		if _, err := ch.Write(out); err != nil {
			return false, ErrLost
		}
	}
}

// remember keeps the text at the prompt, in case the connection breaks before
// Enter. While a command runs it keeps nothing: the text may be an answer, and a
// secret.
func (t *Terminal) remember(keys []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.typed = append(t.typed, keys...)
	if i := strings.LastIndexAny(string(t.typed), "\r\n\x03\x04"); i >= 0 {
		t.typed, t.lost = t.typed[i+1:], false
	}
	t.lost = t.lost || t.busy && len(t.typed) > 0 || len(t.typed) > maxTyped
	if t.lost {
		t.typed = nil
	}
}

// turn notes that a command has begun, or that the prompt is back.
func (t *Terminal) turn(busy bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy = busy; busy {
		t.lost = t.lost || len(t.typed) > 0
		t.typed = nil
	}
}

// show writes the output and handles its marks.
func (t *Terminal) show(ch ssh.Channel, resumed bool) error {
	var split splitter
	for buf := make([]byte, 16<<10); ; {
		n, err := ch.Read(buf)
		for _, w := range split.feed(buf[:n]) {
			if w.text != nil {
				if _, err := t.Out.Write(w.text); err != nil {
					return err
				}
				continue
			}
			if w.kind == markPrompt || w.kind == markRun {
				t.turn(w.kind == markRun)
			}
			if w.kind == markPrompt && resumed {
				resumed = false
				if err := t.takeUp(ch); err != nil {
					return err
				}
				continue
			}
			t.running.take(w)
		}
		if err != nil {
			return err
		}
	}
}

// takeUp resumes after a lost connection: a command that only looks, or the text
// typed so far.
func (t *Terminal) takeUp(ch ssh.Channel) error {
	p := t.running
	t.running = progress{}
	t.mu.Lock()
	keys := t.typed
	t.mu.Unlock()
	if p.line != "" {
		again := p.resume()
		if again == "" {
			fmt.Fprintf(t.Out, "%s\r\n", p.unknown())
		} else {
			keys = []byte(again + "\r")
		}
	}
	if len(keys) == 0 {
		return nil
	}
	_, err := ch.Write(keys)
	return err
}
