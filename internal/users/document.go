package users

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// document is a parsed TOML text that still knows its lines.
type document struct {
	path, text string
	meta       toml.MetaData
	order      map[string]int // of the keys in the text
}

// node is a value in a document.
type node struct {
	key   toml.Key
	name  string // the last part of the key
	value any    // map[string]any, []any, string, …
	raw   toml.Primitive
}

// openDocument returns a document and the node of all of it.
func openDocument(path, text string) (*document, node, error) {
	d := &document{path: path, text: text, order: make(map[string]int)}
	var top map[string]toml.Primitive
	var err error
	if d.meta, err = toml.Decode(text, &top); err != nil {
		return nil, node{}, syntaxError(path, err)
	}
	for i, key := range d.meta.Keys() {
		d.order[key.String()] = i
	}
	return d, node{value: top}, nil
}

// fields lists the values in the table n in the order of the text.
func (d *document) fields(n node) []node {
	table, ok := n.value.(map[string]toml.Primitive) // the document itself
	if _, is := n.value.(map[string]any); !ok && !is {
		return nil // not a table
	}
	if !ok && d.meta.PrimitiveDecode(n.raw, &table) != nil {
		return nil
	}
	nodes := make([]node, 0, len(table))
	for name, raw := range table {
		f := node{key: append(slices.Clone(n.key), name), name: name, raw: raw}
		if d.meta.PrimitiveDecode(raw, &f.value) != nil {
			f.value = nil // anything can be decoded as any
		}
		nodes = append(nodes, f)
	}
	slices.SortFunc(nodes, func(a, b node) int {
		return cmp.Or(cmp.Compare(d.order[a.key.String()], d.order[b.key.String()]), cmp.Compare(a.name, b.name))
	})
	return nodes
}

// locate tells where a value is. The decoder tells that only in the errors of a
// value's own decoder, so that is what probe is.
func (d *document) locate(n node) toml.Position {
	e, _ := errors.AsType[toml.ParseError](d.meta.PrimitiveDecode(n.raw, probe{}))
	return e.Position
}

// maxDepth is how deep a field is looked for whose line is that of a table.
const maxDepth = 4

// line is the line of a value or of the header of a table, from 1. A table
// without a header is where its first field is.
func (d *document) line(n node) int {
	at := d.locate(n)
	if at.Line == 0 && len(n.key) < maxDepth {
		if fields := d.fields(n); len(fields) > 0 {
			return d.line(fields[0])
		}
	}
	return max(at.Line, 1)
}

var errLocated = errors.New("located")

type probe struct{}

// UnmarshalTOML fails, for the sake of the error.
func (probe) UnmarshalTOML(any) error { return errLocated }

// errorf returns an error with file and line.
func (d *document) errorf(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", d.path, line, fmt.Errorf(format, args...))
}

// elementError is what is wrong with one element of a list.
type elementError struct {
	line int
	what string // "key 2"
	err  error
}

func (e *elementError) Error() string { return e.what + ": " + e.err.Error() }
func (e *elementError) Unwrap() error { return e.err }

// explain adds file, line, owner and name of a field to what is wrong with it.
func (d *document) explain(n node, owner string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*elementError](err); ok {
		return d.errorf(e.line, "%s: %w", owner, err)
	}
	return d.errorf(d.line(n), "%s: %s: %w", owner, n.name, err)
}

// lines reads a list of strings, each of which must pass check.
func (d *document) lines(n node, what string, check func(string) error) ([]string, error) {
	list, ok := n.value.([]any)
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
			return nil, &elementError{d.elementLine(n, i), fmt.Sprintf("%s %d", what, i+1), err}
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// patterns reads a list of patterns of commands.
func (d *document) patterns(n node) ([]string, error) {
	list, err := d.lines(n, n.name, checkPattern)
	switch {
	case err != nil:
		return nil, err
	case len(list) == 0:
		return nil, errors.New("an empty list says nothing: leave it out, or name commands")
	}
	return list, CheckPatterns(list)
}

// elementLine is the line of element i of the list of strings n.
func (d *document) elementLine(n node, i int) int {
	at := d.locate(n)
	line, rest := at.Line, d.text[min(at.Start, len(d.text)):]
	rest = strings.TrimPrefix(rest, "[")
	skip := func(length int) {
		length = min(length, len(rest))
		line += strings.Count(rest[:length], "\n")
		rest = rest[length:]
	}
	for {
		skip(spaceLength(rest))
		if i == 0 || rest == "" || rest[0] == ']' {
			return line
		}
		skip(stringLength(rest))
		i--
	}
}

// spaceLength is how much of s is blanks, commas and comments.
func spaceLength(s string) int {
	length := 0
	for {
		length += len(s[length:]) - len(strings.TrimLeft(s[length:], " \t\r\n,"))
		if !strings.HasPrefix(s[length:], "#") {
			return length
		}
		end := strings.IndexByte(s[length:], '\n')
		if end < 0 {
			return len(s)
		}
		length += end
	}
}

// stringLength is how much of s is the TOML string with which it begins; of
// anything else, one byte.
func stringLength(s string) int {
	quote := s[:1]
	if quote != `"` && quote != `'` {
		return 1
	}
	if strings.HasPrefix(s, strings.Repeat(quote, 3)) {
		quote = strings.Repeat(quote, 3)
	}
	for i := len(quote); i < len(s); i++ {
		switch {
		case s[i] == '\\' && quote[0] == '"':
			i++
		case strings.HasPrefix(s[i:], quote):
			return i + len(quote)
		}
	}
	return len(s)
}
