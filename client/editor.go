package client

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/chzyer/readline"
)

// editor edits lines at the terminal. A process has one: chzyer/readline leaves a
// goroutine behind that reads standard input.
type editor struct {
	adviser
	keys    *keys
	line    *readline.Instance
	history *History
}

func newEditor(in *Input, out io.Writer, h *History) (*editor, error) {
	e := &editor{keys: &keys{in: in, opened: make(chan struct{}, 1)}, history: h}
	e.columns = func() int { return max(0, readline.GetScreenWidth()) }
	var err error
	e.line, err = readline.NewEx(&readline.Config{
		AutoComplete: &e.adviser, FuncFilterInputRune: e.filter,
		Stdin: e.keys, Stdout: out, Stderr: out,
		DisableAutoSaveHistory: true, HistoryLimit: maxHistory, EOFPrompt: "\n", InterruptPrompt: "\n",
	})
	if err != nil {
		return nil, fmt.Errorf("line editor: %w", err)
	}
	for _, line := range h.Lines() {
		_ = e.line.SaveHistory(line) // in memory only
	}
	return e, nil
}

// read edits one line that begins with kept. If ctx ends first, it returns what
// was typed so far and the cause.
func (e *editor) read(ctx context.Context, prompt, kept string, answer bool) (string, error) {
	for {
		e.keys.begin(ctx)
		e.line.SetPrompt(prompt)
		text, err := e.line.ReadlineWithDefault(kept)
		switch {
		case err == nil:
			return text, nil
		case errors.Is(err, readline.ErrInterrupt) && ctx.Err() != nil:
			return text, context.Cause(ctx)
		case errors.Is(err, readline.ErrInterrupt) && e.keys.gone():
			return "", io.EOF
		case errors.Is(err, readline.ErrInterrupt):
			return "", ErrInterrupted
		case errors.Is(err, io.EOF) && e.keys.deleted():
			kept = "" // Delete on an empty line is not Ctrl-D
		default:
			return "", err
		}
	}
}

func (e *editor) keep(line string) {
	if e.history.Keep(line) {
		_ = e.line.SaveHistory(line) // in memory only
	}
}

// show writes above the line that is being edited.
func (e *editor) show() io.Writer { return e.line.Stdout() }
