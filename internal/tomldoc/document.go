package tomldoc

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// Document is a parsed TOML text that still knows its lines.
type Document struct {
	text  string
	meta  toml.MetaData
	order map[string]int // of the keys in the text
}

// Node is a value in a document.
type Node struct {
	Name  string // the last part of its key
	Value any    // map[string]any, []any, string, …
	key   toml.Key
	raw   toml.Primitive
}

// Open returns a document and the node of all of it. An error of syntax is a
// [toml.ParseError].
func Open(text string) (*Document, Node, error) {
	d := &Document{text: text, order: make(map[string]int)}
	var top map[string]toml.Primitive
	var err error
	if d.meta, err = toml.Decode(text, &top); err != nil {
		return nil, Node{}, err
	}
	for i, key := range d.meta.Keys() {
		d.order[key.String()] = i
	}
	return d, Node{Value: top}, nil
}

// Fields lists the values in the table n in the order of the text.
func (d *Document) Fields(n Node) []Node {
	table, ok := n.Value.(map[string]toml.Primitive) // the document itself
	if _, is := n.Value.(map[string]any); !ok && !is {
		return nil // not a table
	}
	if !ok && d.meta.PrimitiveDecode(n.raw, &table) != nil {
		return nil
	}
	nodes := make([]Node, 0, len(table))
	for name, raw := range table {
		f := Node{key: append(slices.Clone(n.key), name), Name: name, raw: raw}
		if d.meta.PrimitiveDecode(raw, &f.Value) != nil {
			f.Value = nil // anything can be decoded as any
		}
		nodes = append(nodes, f)
	}
	slices.SortFunc(nodes, func(a, b Node) int {
		return cmp.Or(cmp.Compare(d.order[a.key.String()], d.order[b.key.String()]), cmp.Compare(a.Name, b.Name))
	})
	return nodes
}

// Locate tells where a value is. The decoder tells that only in the errors of a
// value's own decoder, so that is what probe is.
func (d *Document) Locate(n Node) toml.Position {
	e, _ := errors.AsType[toml.ParseError](d.meta.PrimitiveDecode(n.raw, probe{}))
	return e.Position
}

// maxDepth is how deep a field is looked for whose line is that of a table.
const maxDepth = 4

// Line is the line of a value or of the header of a table, from 1. A table
// without a header is where its first field is.
func (d *Document) Line(n Node) int {
	at := d.Locate(n)
	if at.Line == 0 && len(n.key) < maxDepth {
		if fields := d.Fields(n); len(fields) > 0 {
			return d.Line(fields[0])
		}
	}
	return max(at.Line, 1)
}

var errLocated = errors.New("located")

type probe struct{}

// UnmarshalTOML fails, for the sake of the error.
func (probe) UnmarshalTOML(any) error { return errLocated }

// ElementLine is the line of element i of the list of strings n.
func (d *Document) ElementLine(n Node, i int) int {
	at := d.Locate(n)
	line, rest := at.Line, d.text[min(at.Start, len(d.text)):]
	rest = strings.TrimPrefix(rest, "[")
	skip := func(length int) {
		length = min(length, len(rest))
		line += strings.Count(rest[:length], "\n")
		rest = rest[length:]
	}
	for {
		skip(SpaceLength(rest))
		if i == 0 || rest == "" || rest[0] == ']' {
			return line
		}
		skip(StringLength(rest))
		i--
	}
}

// SpaceLength is how much of s is blanks, commas and comments.
func SpaceLength(s string) int {
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

// StringLength is how much of s is the TOML string with which it begins; of
// anything else, one byte.
func StringLength(s string) int {
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
