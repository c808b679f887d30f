package commandline

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/norestart/norestart/internal/typeset"
)

const (
	defaultEnds = 10        // lines that head and tail pass on
	maxEnds     = 10_000    // the most that they may be asked for
	maxFilters  = 8         // of one line
	maxPattern  = 1 << 10   // bytes
	maxText     = 256 << 10 // bytes of a line; longer ones are cut into several
	maxTail     = 4 << 20   // bytes that tail keeps
)

// filters may follow a |.
var filters = []struct{ name, usage, summary string }{
	{"match", "PATTERN", "only lines in which the regular expression is found"},
	{"except", "PATTERN", "only lines in which it is not"},
	{"count", "", "how many lines there are"},
	{"head", "[N]", "the first N lines (10)"},
	{"tail", "[N]", "the last N lines (10)"},
}

type filter struct {
	name    string
	pattern *regexp.Regexp
	n       int
}

func parseFilter(words []string) (filter, *misread) {
	if len(words) == 0 {
		return filter{}, filterError("nothing follows the |")
	}
	f := filter{name: words[0], n: defaultEnds}
	args := words[1:]
	switch f.name {
	case "match", "except":
		if len(args) != 1 || len(args[0]) > maxPattern {
			return f, filterError("%s takes one pattern", f.name)
		}
		re, err := regexp.Compile(args[0])
		if err != nil {
			return f, filterError("%s: %v", f.name, err)
		}
		f.pattern = re
	case "count":
		if len(args) > 0 {
			return f, filterError("count takes no argument, got %q", args[0])
		}
	case "head", "tail":
		return f.ends(args)
	default:
		return f, filterError("%q is not a filter", typeset.Clip(f.name, maxGuess))
	}
	return f, nil
}

func (f filter) ends(args []string) (filter, *misread) {
	if len(args) == 0 {
		return f, nil
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 0 || n > maxEnds || len(args) > 1 {
		return f, filterError("%s takes a number of lines from 0 to %d", f.name, maxEnds)
	}
	f.n = n
	return f, nil
}

func filterError(format string, args ...any) *misread {
	e := unparsable(0, format, args...)
	var names []string
	for _, f := range filters {
		names = append(names, f.name)
	}
	e.err.Hint = "filters are " + strings.Join(names, ", ") + "; for the character | write '|'"
	return e
}

// sink takes lines without their line breaks, then end, which says whether the
// command succeeded.
type sink interface {
	line(text []byte) error
	end(ok bool) error
	// full reports whether further lines would be dropped.
	full() bool
}

// chain makes the writer of a line with filters.
func chain(fs []filter, out io.Writer) *pipeline {
	var next sink = last{out}
	for i := len(fs) - 1; i >= 0; i-- {
		switch f := fs[i]; f.name {
		case "match", "except":
			next = &matching{next, f.pattern, f.name == "match"}
		case "count":
			next = &counting{next: next}
		case "head":
			next = &heading{next, f.n}
		default:
			next = &tailing{next: next, most: f.n}
		}
	}
	return &pipeline{first: next}
}

// pipeline cuts what a command writes into lines.
type pipeline struct {
	mu    sync.Mutex // protects what follows: a command may write from many goroutines
	first sink
	rest  []byte
}

func (p *pipeline) full() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.first.full()
}

func (p *pipeline) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(text)
	for len(text) > 0 {
		line, after, whole := bytes.Cut(text, []byte("\n"))
		p.rest = append(p.rest, line...)
		if text = after; !whole && len(p.rest) < maxText {
			break
		}
		if err := p.first.line(p.rest); err != nil {
			return 0, err
		}
		p.rest = p.rest[:0]
	}
	return n, nil
}

func (p *pipeline) end(ok bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.rest) > 0 {
		if err := p.first.line(p.rest); err != nil {
			return err
		}
	}
	return p.first.end(ok)
}

type last struct{ out io.Writer }

func (l last) line(text []byte) error {
	_, err := l.out.Write(append(bytes.Clone(text), '\n'))
	return err
}
func (l last) end(bool) error { return nil }
func (l last) full() bool     { return false }

type matching struct {
	sink
	pattern *regexp.Regexp
	wanted  bool
}

func (m *matching) line(text []byte) error {
	if m.pattern.Match(text) != m.wanted {
		return nil
	}
	return m.sink.line(text)
}

type counting struct {
	next sink
	n    int
}

func (c *counting) line([]byte) error { c.n++; return nil }
func (c *counting) full() bool        { return c.next.full() }

// end prints no count if the command failed.
func (c *counting) end(ok bool) error {
	if ok {
		if err := c.next.line(fmt.Append(nil, c.n)); err != nil {
			return err
		}
	}
	return c.next.end(ok)
}

type heading struct {
	sink
	left int
}

func (h *heading) full() bool { return h.left == 0 || h.sink.full() }

func (h *heading) line(text []byte) error {
	if h.left == 0 {
		return nil
	}
	h.left--
	return h.sink.line(text)
}

type tailing struct {
	next sink
	most int
	kept [][]byte
	size int
}

func (t *tailing) full() bool { return t.most == 0 || t.next.full() }

func (t *tailing) line(text []byte) error {
	if t.most == 0 {
		return nil
	}
	t.kept = append(t.kept, bytes.Clone(text))
	t.size += len(text)
	for len(t.kept) > t.most || t.size > maxTail && len(t.kept) > 1 {
		t.size -= len(t.kept[0])
		t.kept = t.kept[1:]
	}
	return nil
}

func (t *tailing) end(ok bool) error {
	for _, text := range t.kept {
		if err := t.next.line(text); err != nil {
			return err
		}
	}
	return t.next.end(ok)
}
