package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
)

// LineSession is a session over TLS.
type LineSession struct {
	TLS   *TLS
	Retry Retry
	In    *Input
	Out   io.Writer
	// Script holds the lines to run; nil: a person types, the Person of TLS.
	Script *Script
	// History holds earlier lines; may be nil.
	History *History
	// Interrupts gets a value for each Ctrl-C. It interrupts a running command;
	// while there is no connection it ends the session.
	Interrupts <-chan struct{}

	source  source
	conn    io.ReadWriter
	release func()

	running progress
	kept    string // typed and not sent
	resumed bool   // the connection is not the first
	status  int    // of the last command
}

type source interface {
	// read returns the next line; if ctx ends first, the unfinished one.
	read(ctx context.Context, prompt, kept string, answer bool) (string, error)
	keep(line string)
	show() io.Writer // for output while a line is read
	// advised sets the function that completes lines; nil: none.
	advised(ask func(kind string, columns int, line string) (insert string, ok bool))
}

// errNoLogin says that the connection ended while the password was typed. The
// client must not connect again by itself: the server counts each attempt without
// a login, and would block this address.
var errNoLogin = fmt.Errorf("%w before the login", ErrLost)

// errBye says that the server ended the session on purpose.
var errBye = errors.New("the session has ended")

// Run runs the session to its end and returns its exit status.
func (s *LineSession) Run(ctx context.Context) (int, error) {
	if err := s.choose(); err != nil {
		return 0, err
	}
	if err := interruptible(ctx, s.Interrupts, s.dial); err != nil {
		return 0, err
	}
	for {
		err := s.converse(ctx)
		switch {
		case errors.Is(err, errBye):
			return s.status, nil
		case errors.Is(err, io.EOF):
			return s.end()
		case !errors.Is(err, ErrLost):
			return 0, err
		case s.Script != nil:
			return 0, s.Script.lost(s.running)
		case errors.Is(err, errNoLogin):
			if err := interruptible(ctx, s.Interrupts, s.awaitPerson); err != nil {
				return 0, err
			}
		}
		s.resumed = true
		again := func(ctx context.Context) error { return s.Retry.again(ctx, s.Out, s.dial) }
		if err := interruptible(ctx, s.Interrupts, again); err != nil {
			return 0, s.running.orLost(err)
		}
	}
}

func (s *LineSession) awaitPerson(ctx context.Context) error {
	_, err := s.TLS.Person.Line(ctx, "The server did not wait. Press Enter to connect again: ")
	return err
}

func (s *LineSession) choose() error {
	switch {
	case s.Script != nil:
		s.Script.out = s.Out
		s.source = s.Script
		return nil
	case s.TLS.Person == nil:
		return errors.New("standard input is not a terminal")
	}
	history := s.History
	if history == nil {
		history = &History{}
	}
	e, err := newEditor(s.In, s.Out, history)
	s.source = e
	return err
}

// end handles the end of the input.
func (s *LineSession) end() (int, error) {
	if s.Script != nil {
		return s.status, s.Script.stopped(s.status)
	}
	return 0, nil
}

func (s *LineSession) dial(ctx context.Context) (err error) {
	s.conn, s.release, err = s.TLS.Dial(ctx)
	return err
}

// converse serves one connection until it or the session ends.
func (s *LineSession) converse(ctx context.Context) error {
	heard := make(chan word)
	receiving, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var broken error
	wg.Go(func() { broken = s.receive(receiving, heard) })
	t := &talk{LineSession: s, heard: heard, advice: make(chan string, 1)}
	err := t.run(ctx)
	stop()
	s.release()
	wg.Wait()
	switch {
	case !errors.Is(err, ErrLost):
		return err
	case refusedCertificate(broken):
		return s.TLS.refused(time.Now())
	case !t.loggedIn && t.passwords > 0:
		return &LoginError{Message: s.TLS.Addr() + ": login refused", Hint: "on the server: norestart user passwd NAME; its audit log says why"}
	case !t.loggedIn && t.asked:
		return errNoLogin
	}
	return err
}

// receive sends the server's output piece by piece and closes heard at its end.
func (s *LineSession) receive(ctx context.Context, heard chan<- word) error {
	defer close(heard)
	var split splitter
	for buf := make([]byte, 16<<10); ; {
		n, err := s.conn.Read(buf)
		for _, w := range split.feed(buf[:n]) {
			w.text = bytes.Clone(w.text)
			select {
			case heard <- w:
			case <-ctx.Done():
				return nil
			}
		}
		if err != nil {
			return err
		}
	}
}

// talk is one connection of a session.
type talk struct {
	*LineSession
	heard     <-chan word
	advice    chan string // 1 slot: the server's answer to an enquiry
	enquiries int         // of the editor's goroutine
	asked     bool        // for the password
	passwords int
	loggedIn  bool
}

func (t *talk) run(ctx context.Context) error {
	for {
		select {
		case w, ok := <-t.heard:
			if !ok {
				return ErrLost
			}
			if err := t.take(ctx, w); err != nil {
				return err
			}
		case <-t.Interrupts:
			if err := t.send(string(rune(keyInterrupt))); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// take handles one piece of the stream.
func (t *talk) take(ctx context.Context, w word) error {
	if w.text != nil {
		_, err := t.Out.Write(w.text)
		return err
	}
	switch w.kind {
	case markPassword:
		if t.loggedIn { // after the login this mark is only text of a command
			return nil
		}
		return t.password(ctx, w.value)
	case markPrompt:
		t.loggedIn = true
		return t.command(ctx, w.value)
	case markAsk:
		return t.answer(ctx, w.value)
	case markEnd, markBye:
		if status, err := strconv.Atoi(w.value); err == nil && status >= 0 && status < 255 {
			t.status = status
		}
		if w.kind == markBye {
			return errBye
		}
		if t.Script != nil && t.status == 0 {
			t.Script.done++
		}
	}
	t.running.take(w)
	return nil
}

func (t *talk) password(ctx context.Context, prompt string) error {
	if t.TLS.Person == nil {
		return errors.New("the server wants a password and there is no terminal to ask at: use --tls-cert and --tls-key")
	}
	t.asked = true
	secret, err := t.listen(ctx, func(ctx context.Context) (string, error) { return t.TLS.Person.Secret(ctx, prompt) })
	if err != nil {
		return err
	}
	t.passwords++
	return t.send(secret + "\n")
}

// command sends the next command: first the one that goes on where the last
// connection broke.
func (t *talk) command(ctx context.Context, prompt string) error {
	if again := t.takeUp(); again != "" {
		fmt.Fprintf(t.Out, "%s%s\n", prompt, again)
		return t.begin(again)
	}
	if t.Script != nil && t.status != 0 {
		return io.EOF
	}
	for {
		line, err := t.listen(ctx, func(ctx context.Context) (string, error) {
			t.source.advised(func(kind string, columns int, line string) (string, bool) { return t.enquire(ctx, kind, columns, line) })
			defer t.source.advised(nil)
			return t.source.read(ctx, prompt, t.kept, false)
		})
		t.kept = ""
		switch {
		case errors.Is(err, ErrLost):
			t.kept = line
			return err
		case errors.Is(err, ErrInterrupted), err == nil && strings.TrimSpace(line) == "":
			continue
		case err != nil:
			return err
		}
		t.source.keep(line)
		return t.begin(line)
	}
}

// takeUp returns the command to resume after a lost connection; empty: none.
func (t *talk) takeUp() string {
	p := t.running
	t.running = progress{}
	if !t.resumed || p.line == "" {
		return ""
	}
	again := p.resume()
	if again == "" {
		fmt.Fprintln(t.Out, p.unknown())
	}
	return again
}

func (t *talk) begin(line string) error {
	t.running = progress{line: line}
	return t.send(line + "\n")
}

func (t *talk) answer(ctx context.Context, prompt string) error {
	line, err := t.listen(ctx, func(ctx context.Context) (string, error) {
		return t.source.read(ctx, prompt, "", true)
	})
	switch {
	case errors.Is(err, ErrInterrupted), errors.Is(err, io.EOF):
		return t.send(string(rune(keyInterrupt)))
	case err != nil:
		return err
	}
	return t.send(line + "\n")
}

// listen waits for a person and for the server at the same time. If the
// connection breaks, it returns the typed text and ErrLost.
func (t *talk) listen(ctx context.Context, read func(context.Context) (string, error)) (string, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type result struct {
		line string
		err  error
	}
	typed := make(chan result, 1)
	go func() {
		line, err := read(ctx)
		typed <- result{line, err}
	}()
	var ended error
	for {
		select {
		case r := <-typed:
			if ended != nil {
				r.err = ended
			}
			return r.line, r.err
		case <-t.Interrupts: // of a script; a person's Ctrl-C comes as a key
			ended = context.Canceled
			cancel(ended)
		case w, ok := <-t.heard:
			if err := t.aside(w, ok); err != nil {
				ended, t.heard = err, nil
				cancel(ended)
			}
		}
	}
}

// aside shows the server's output while a line is typed.
func (t *talk) aside(w word, ok bool) error {
	switch {
	case !ok:
		return ErrLost
	case w.text != nil:
		_, err := t.source.show().Write(w.text)
		return err
	case w.kind == markInsert:
		t.advise(w.value)
	case w.kind == markBye:
		return t.take(context.Background(), w)
	}
	return nil
}

func (t *talk) send(text string) error {
	if _, err := io.WriteString(t.conn, text); err != nil {
		return ErrLost
	}
	return nil
}
