package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/norestart/norestart/internal/commandline"
)

// Script is a file of commands. It stops at the first that fails.
type Script struct {
	name   string
	input  *inputUntil
	lines  *bufio.Scanner
	number int // of the line that was read last
	begun  int // line of the running command
	done   int // commands
	out    io.Writer
}

// NewScript reads the commands from in as they are needed.
func NewScript(name string, in *Input) *Script {
	from := &inputUntil{in: in}
	s := &Script{name: name, input: from, lines: bufio.NewScanner(from)}
	s.lines.Buffer(nil, maxLine)
	return s
}

// inputUntil reads until the context of the caller of next ends.
type inputUntil struct {
	in  *Input
	ctx context.Context
}

func (i *inputUntil) Read(p []byte) (int, error) { return i.in.Read(i.ctx, p) }

// next returns the next line that is a command; answer returns any line.
func (s *Script) next(ctx context.Context, answer bool) (string, error) {
	s.input.ctx = ctx
	for s.lines.Scan() {
		if ctx.Err() != nil { // the line may be incomplete
			return "", context.Cause(ctx)
		}
		s.number++
		text := s.lines.Text()
		if !answer {
			s.begun = s.number
		}
		if words, err := commandline.Parse(text); answer || err != nil || len(words) > 0 {
			return text, nil
		}
	}
	if err := s.lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return "", fmt.Errorf("%s:%d: %w", s.name, s.number+1, errLongLine)
	} else if err != nil {
		return "", fmt.Errorf("%s: %w", s.name, err)
	}
	return "", io.EOF
}

// read makes a script the input of a session.
func (s *Script) read(ctx context.Context, _, _ string, answer bool) (string, error) {
	return s.next(ctx, answer)
}

func (s *Script) keep(string)                                                        {}
func (s *Script) advised(func(kind string, columns int, line string) (string, bool)) {}

func (s *Script) show() io.Writer { return s.out }

func (s *Script) stopped(status int) error {
	if status == 0 {
		return nil
	}
	return &ScriptError{Status: status, Message: fmt.Sprintf("%s:%d: stopped; %d commands done", s.name, s.begun, s.done)}
}

func (s *Script) lost(p progress) error {
	if p.line == "" {
		return fmt.Errorf("%s:%d: %w; %d commands done", s.name, s.begun, ErrLost, s.done)
	}
	unknown := p.unknown()
	return &LostError{Message: fmt.Sprintf("%s:%d: %v; %s", s.name, s.begun, ErrLost, strings.ToLower(unknown[:1])+unknown[1:])}
}

// ScriptError says that a script stopped at a command that failed.
type ScriptError struct {
	Status  int // of the command
	Message string
}

func (e *ScriptError) Error() string { return e.Message }

// Run runs the script over ssh, each line as a command of its own.
func (s *Script) Run(ctx context.Context, conn *Conn, streams Streams) (int, error) {
	for {
		line, err := s.next(ctx, false)
		if errors.Is(err, io.EOF) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		streams.Answer = func(context.Context) ([]byte, error) {
			answer, err := s.next(ctx, true)
			return []byte(answer + "\n"), err
		}
		status, err := conn.Exec(ctx, line, streams)
		if errors.Is(err, ErrUnsent) {
			return 0, s.lost(progress{})
		}
		if errors.Is(err, ErrLost) {
			return 0, s.lost(progress{line: line})
		}
		if err != nil {
			return 0, err
		}
		if status != 0 {
			return status, s.stopped(status)
		}
		s.done++
	}
}
