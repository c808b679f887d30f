package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/internal/commandline"
)

// wantRequest is a channel request by which the server asks for a line of input.
// The client reads nothing ahead, so the rest of its input stays for the next
// reader.
const wantRequest = "want@norestart"

// marksRequest asks for marks in the output of a command.
const marksRequest = "marks@norestart"

// Streams are those of one command.
type Streams struct {
	// Answer returns a line with its line break each time the command asks for
	// one; nil: there is no input.
	Answer   func(context.Context) ([]byte, error)
	Out, Err io.Writer
	// Interrupts gets a value for each Ctrl-C; may be nil.
	Interrupts <-chan struct{}

	marks bool // Out understands them
}

// Exec runs one command and returns its exit status. The error is ErrLost if the
// connection broke first: the outcome is then unknown, unless the error is
// ErrUnsent.
func (c *Conn) Exec(ctx context.Context, command string, s Streams) (int, error) {
	cut := context.AfterFunc(ctx, func() { _ = c.client.Close() })
	defer cut()
	ch, reqs, err := c.client.OpenChannel("session", nil)
	switch {
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case errors.As(err, new(*ssh.OpenChannelError)):
		return 0, fmt.Errorf("open a session: %w", err)
	case err != nil:
		return 0, ErrUnsent
	}
	e := &execution{ch: ch, streams: s, requests: reqs, want: make(chan struct{}, 1), status: -1}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { e.interrupt(done) })
	status, err := e.run(ctx, command)
	close(done)
	wg.Wait()
	if ctx.Err() != nil && err != nil {
		err = context.Cause(ctx)
	}
	return status, err
}

// Words quotes words so that the server reads the same words again.
func Words(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = quote(word)
	}
	return strings.Join(quoted, " ")
}

func quote(word string) string {
	back, err := commandline.Parse(word)
	if err == nil && len(back) == 1 && back[0] == word && !strings.HasPrefix(word, "#") {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// execution is one command under way.
type execution struct {
	ch       ssh.Channel
	streams  Streams
	requests <-chan *ssh.Request
	want     chan struct{}
	status   int // -1: not known yet
}

func (e *execution) run(ctx context.Context, command string) (int, error) {
	defer e.ch.Close()
	if e.streams.marks {
		if _, err := e.ch.SendRequest(marksRequest, false, nil); err != nil {
			return 0, ErrUnsent
		}
	}
	started, err := e.ch.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{command}))
	switch {
	case err != nil:
		return 0, ErrLost
	case !started:
		return 0, errors.New("the server refuses the command: it is too long, or no command may be run")
	}
	feeding, fed := context.WithCancel(ctx)
	defer fed()
	var wg sync.WaitGroup
	var outErr, errErr error
	wg.Go(func() { _, outErr = io.Copy(e.streams.Out, e.ch); e.unread(outErr) })
	wg.Go(func() { _, errErr = io.Copy(e.streams.Err, e.ch.Stderr()); e.unread(errErr) })
	wg.Go(func() { e.feed(feeding) })
	e.follow()
	fed()
	wg.Wait()
	if err := errors.Join(outErr, errErr); err != nil {
		return 0, fmt.Errorf("pass output on: %w", err)
	}
	if e.status < 0 {
		return 0, ErrLost
	}
	return e.status, nil
}

// unread closes a command whose output is no longer read.
func (e *execution) unread(err error) {
	if err != nil {
		_ = e.ch.Close() // it may have ended
	}
}

// follow reads the channel's requests until it is closed.
func (e *execution) follow() {
	for req := range e.requests {
		switch req.Type {
		case "exit-status":
			var exit struct{ Status uint32 }
			if ssh.Unmarshal(req.Payload, &exit) == nil {
				e.status = int(exit.Status & 0xff)
			}
		case wantRequest:
			select {
			case e.want <- struct{}{}:
			default: // it has asked already and still waits
			}
		}
		if req.WantReply {
			_ = req.Reply(false, nil) // an error ends the loop by itself
		}
	}
	close(e.want)
}

// feed sends a line for each request.
func (e *execution) feed(ctx context.Context) {
	for range e.want {
		var line []byte
		err := io.EOF
		if e.streams.Answer != nil {
			line, err = e.streams.Answer(ctx)
		}
		if err == nil {
			_, err = e.ch.Write(line)
		}
		if err != nil {
			_ = e.ch.CloseWrite() // no more input
			for range e.want {
			}
			return
		}
	}
}

// interrupt passes Ctrl-C on, as the signal of RFC 4254 §6.9.
func (e *execution) interrupt(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-e.streams.Interrupts:
			_, _ = e.ch.SendRequest("signal", false, ssh.Marshal(struct{ Signal string }{"INT"})) // it may have ended
		}
	}
}
