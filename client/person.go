package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// ErrInterrupted means that a person pressed Ctrl-C.
var ErrInterrupted = errors.New("interrupted")

// Keys of a terminal in raw mode.
const (
	keyInterrupt = 0x03
	keyEnd       = 0x04
	keyBackspace = 0x08
	keyKillLine  = 0x15
	keySuspend   = 0x1a
	keyEscape    = 0x1b
	keyRubout    = 0x7f
	maxSecret    = 1 << 10
)

// Person can be asked at a terminal.
type Person struct {
	in  *Input
	tty *os.File
	out io.Writer
}

// NewPerson returns the person at the terminal tty; nil if tty is not a terminal.
// Prompts go to shown if that is a terminal, too, else to tty.
func NewPerson(in *Input, tty *os.File, shown io.Writer) *Person {
	if !term.IsTerminal(int(tty.Fd())) {
		return nil
	}
	if f, ok := shown.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		shown = tty
	}
	return &Person{in: in, tty: tty, out: shown}
}

// Line asks for a line, which the terminal shows and edits. End of input is
// errEnd, because io.EOF also ends a connection.
func (p *Person) Line(ctx context.Context, prompt string) (string, error) {
	fmt.Fprint(p.out, prompt)
	line, err := p.in.Line(ctx)
	if err != nil {
		fmt.Fprintln(p.out)
		return "", ended(err)
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

// Secret asks for a line that is not shown. It restores the terminal before it
// returns. Ctrl-C is ErrInterrupted, Ctrl-D errEnd.
func (p *Person) Secret(ctx context.Context, prompt string) (secret string, err error) {
	state, err := term.MakeRaw(int(p.tty.Fd()))
	if err != nil {
		return "", fmt.Errorf("hide what is typed: %w", err)
	}
	defer func() {
		err = errors.Join(err, term.Restore(int(p.tty.Fd()), state))
		fmt.Fprintln(p.out)
	}()
	fmt.Fprint(p.out, prompt)
	var typed []byte
	for b := make([]byte, 1); ; {
		if _, err := p.in.Read(ctx, b); err != nil {
			return "", ended(err)
		}
		done := false
		if typed, done, err = hiddenKey(typed, b[0]); done || err != nil {
			return string(typed), err
		}
	}
}

func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return errEnd
	}
	return err
}

// hiddenKey takes one key of a line that is not shown.
func hiddenKey(typed []byte, key byte) (_ []byte, done bool, err error) {
	switch {
	case (key == '\r' || key == '\n') && len(typed) > maxSecret:
		return nil, false, errors.New("a password of more than 1 kB")
	case key == '\r' || key == '\n':
		return typed, true, nil
	case key == keyInterrupt:
		return nil, false, ErrInterrupted
	case key == keyEnd:
		return nil, false, errEnd
	case key == keyKillLine:
		return typed[:0], false, nil
	case key == keyBackspace || key == keyRubout:
		_, size := utf8.DecodeLastRune(typed)
		return typed[:len(typed)-size], false, nil
	case key == keySuspend, len(typed) > maxSecret: // the rest of the line must not reach the next reader
		return typed, false, nil
	}
	return append(typed, key), false, nil
}
