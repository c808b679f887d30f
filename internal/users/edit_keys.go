package users

import (
	"fmt"
	"slices"
	"strings"

	"github.com/norestart/norestart/internal/tomldoc"
)

func (f *File) AddKey(name, line string) error {
	u, ok := f.Lookup(name)
	if !ok {
		return unknown(f.path, name)
	}
	if err := f.check.Line(line); err != nil {
		return fmt.Errorf("user %s: %w", name, err)
	}
	want := f.copyUsers()
	u.Keys = append(u.Keys, line)
	want[name] = u
	list, ok := f.list(name, "keys")
	if !ok {
		lines, e := f.split(), f.entry(name)
		at := min(e.header, len(lines))
		return f.replace(strings.Join(slices.Insert(lines, at, "keys = [\n", "    "+quote(line)+",\n", "]\n"), ""), name, want)
	}
	return f.replace(list.insert(quote(line)), name, want)
}

// RemoveKey removes the i-th key line of a user, from 0, with the comment
// beside it.
func (f *File) RemoveKey(name string, i int) error {
	u, ok := f.Lookup(name)
	if !ok {
		return unknown(f.path, name)
	}
	list, ok := f.list(name, "keys")
	if !ok || i < 0 || i >= len(u.Keys) {
		return fmt.Errorf("user %s: no key %d", name, i+1)
	}
	want := f.copyUsers()
	u.Keys = slices.Delete(u.Keys, i, i+1)
	want[name] = u
	return f.replace(list.remove(i), name, want)
}

// listText is a list of strings in a text, by offsets.
type listText struct {
	text     string
	open     int // behind the [
	elements [][2]int
	close    int
}

func (f *File) list(name, field string) (listText, bool) {
	for _, top := range f.doc.Fields(f.root) {
		for _, user := range f.doc.Fields(top) {
			if top.Name != "user" || user.Name != name {
				continue
			}
			for _, n := range f.doc.Fields(user) {
				if n.Name == field {
					return scanList(f.text, f.doc.Locate(n).Start)
				}
			}
		}
	}
	return listText{}, false
}

// scanList reads the list at start, which the decoder puts at its [ or behind it.
func scanList(text string, start int) (listText, bool) {
	if start > 0 && start <= len(text) && text[start-1] == '[' {
		start--
	}
	if start >= len(text) || text[start] != '[' {
		return listText{}, false
	}
	l := listText{text: text, open: start + 1}
	for at := l.open; ; {
		at += tomldoc.SpaceLength(text[at:])
		if at >= len(text) {
			return listText{}, false
		}
		if text[at] == ']' {
			l.close = at
			return l, true
		}
		end := at + tomldoc.StringLength(text[at:])
		l.elements = append(l.elements, [2]int{at, end})
		at = end
	}
}

// insert returns the text with one more element at the end of the list. In a
// list of several lines the element gets its own line.
func (l listText) insert(element string) string {
	if len(l.elements) == 0 {
		return l.text[:l.open] + "\n    " + element + ",\n" + l.text[l.close:]
	}
	end := l.elements[len(l.elements)-1][1]
	comma := ","
	if strings.HasPrefix(strings.TrimLeft(l.text[end:l.close], " \t\r\n"), ",") {
		comma = ""
	}
	line := strings.LastIndexByte(l.text[:l.close], '\n') + 1
	switch {
	case line > end && isBlank(l.text[line:l.close]): // the ] has a line of its own
		return l.text[:end] + comma + l.text[end:line] + "    " + element + ",\n" + l.text[line:]
	case comma == "":
		return l.text[:l.close] + " " + element + l.text[l.close:]
	}
	return l.text[:end] + ", " + element + l.text[end:]
}

// remove returns the text without an element, and without its line if nothing
// else is on it.
func (l listText) remove(i int) string {
	from, to := l.elements[i][0], l.elements[i][1]
	rest := l.text[to:l.close]
	if blank := len(rest) - len(strings.TrimLeft(rest, " \t")); strings.HasPrefix(rest[blank:], ",") {
		to += blank + 1
	} else if i > 0 && !strings.Contains(l.text[l.elements[i-1][1]:from], "\n") { // the comma before it
		from = l.elements[i-1][1]
	}
	line := strings.LastIndexByte(l.text[:from], '\n') + 1
	end := strings.IndexByte(l.text[to:l.close], '\n')
	if end >= 0 && isBlank(l.text[line:from]) && isFiller(l.text[to:to+end]) {
		return l.text[:line] + l.text[to+end+1:]
	}
	return l.text[:from] + l.text[to:]
}
