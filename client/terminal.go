package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/term"
)

// maxTyped is how much of what was typed at a prompt is kept for the next
// connection.
const maxTyped = 4 << 10

// pasteOff turns off that a terminal brackets what is pasted.
const pasteOff = "\x1b[?2004l"

// Terminal is a session over ssh: the server edits the line, the terminal here
// is only carried to it.
type Terminal struct {
	SSH   *SSH
	Retry Retry
	In    *Input
	TTY   *os.File // the terminal
	Out   io.Writer
	Term  string // its kind: TERM
	// Interrupts has a word for each Ctrl-C while there is no connection.
	Interrupts <-chan struct{}

	conn    *Conn
	running progress

	mu    sync.Mutex // protects what follows
	typed []byte     // at the prompt, since it was shown
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

// serve is one connection. The terminal is as before when it returns.
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

// begin asks for a shell with a terminal (RFC 4254 §6.2, §6.5).
func (t *Terminal) begin(ch ssh.Channel) error {
	cols, rows := t.size()
	pty := struct {
		Term                      string
		Cols, Rows, Width, Height uint32
		Modes                     string
	}{t.Term, cols, rows, 0, 0, "\x00"}
	for _, r := range []struct {
		name    string
		payload []byte
	}{{"pty-req", ssh.Marshal(pty)}, {"shell", nil}} {
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

// carry passes keys and output on until the session ends.
func (t *Terminal) carry(ctx context.Context, ch ssh.Channel, reqs <-chan *ssh.Request, resumed bool) (int, error) {
	status, left := -1, false
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var typing error
	wg.Go(func() {
		left, typing = t.keys(ctx, ch)
		if left || ctx.Err() != nil {
			_ = t.conn.client.Close() // nobody waits for what the server says to that
		}
		_ = ch.Close()
	})
	wg.Go(func() { _ = t.show(ch, resumed); _ = ch.Close() })
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

// keys passes keys on; left reports that the person left by ~.
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

// remember keeps what was typed at the prompt, for the case that the connection
// breaks before Enter.
func (t *Terminal) remember(keys []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.typed = append(t.typed, keys...)
	if i := strings.LastIndexAny(string(t.typed), "\r\n\x03\x04"); i >= 0 {
		t.typed = t.typed[i+1:]
	}
	if len(t.typed) > maxTyped {
		t.typed = nil
	}
}

// show shows what comes and heeds its marks.
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

// takeUp goes on where the last connection broke: with what looked, or with
// what was typed.
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
