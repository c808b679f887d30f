package users

import (
	"errors"
	"fmt"

	"github.com/norestart/norestart/internal/tomldoc"
)

// document is the text of a users.toml, whose errors name its path.
type document struct {
	*tomldoc.Document
	path string
}

type node = tomldoc.Node

func openDocument(path, text string) (*document, node, error) {
	d, root, err := tomldoc.Open(text)
	if err != nil {
		return nil, node{}, syntaxError(path, err)
	}
	return &document{d, path}, root, nil
}

// errorf returns an error with file and line.
func (d *document) errorf(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", d.path, line, fmt.Errorf(format, args...))
}

// elementError is what is wrong with one element of a list.
type elementError struct {
	line int
	what string // key 2
	err  error
}

func (e *elementError) Error() string { return e.what + ": " + e.err.Error() }
func (e *elementError) Unwrap() error { return e.err }

func (d *document) explain(n node, owner string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*elementError](err); ok {
		return d.errorf(e.line, "%s: %w", owner, err)
	}
	return d.errorf(d.Line(n), "%s: %s: %w", owner, n.Name, err)
}

// lines reads a list of strings, each of which must pass check.
func (d *document) lines(n node, what string, check func(string) error) ([]string, error) {
	list, ok := n.Value.([]any)
	if !ok {
		return nil, errors.New("must be a list of strings")
	}
	lines := make([]string, 0, len(list))
	for i, value := range list {
		line, err := text(value)
		if err == nil {
			err = check(line)
		}
		if err != nil {
			return nil, &elementError{d.ElementLine(n, i), fmt.Sprintf("%s %d", what, i+1), err}
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// patterns reads a list of patterns of commands.
func (d *document) patterns(n node) ([]string, error) {
	list, err := d.lines(n, n.Name, checkPattern)
	switch {
	case err != nil:
		return nil, err
	case len(list) == 0:
		return nil, errors.New("an empty list says nothing: leave it out, or name commands")
	}
	return list, CheckPatterns(list)
}
