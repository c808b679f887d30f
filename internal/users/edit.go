package users

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

type entry struct {
	header   int // of the table
	end      int
	password int
}

func (f *File) entry(name string) entry {
	e := entry{end: len(f.split()) + 1}
	var headers []int
	for _, top := range f.doc.Fields(f.root) {
		headers = append(headers, f.doc.Line(top))
		for _, n := range f.doc.Fields(top) {
			headers = append(headers, f.doc.Line(n))
			if n.Name == name {
				e.header, e.password = f.doc.Line(n), f.passwordLine(n)
			}
		}
	}
	for _, line := range headers {
		if line > e.header {
			e.end = min(e.end, line)
		}
	}
	return e
}

func (f *File) passwordLine(user node) int {
	for _, n := range f.doc.Fields(user) {
		if n.Name == "password" {
			return f.doc.Line(n)
		}
	}
	return 0
}

// Add appends a new user to the file.
func (f *File) Add(u User) error {
	if _, ok := f.users[u.Name]; ok {
		return fmt.Errorf("user %s exists already", u.Name)
	}
	if err := u.validate(f.check); err != nil {
		return err
	}
	text := f.text
	if text != "" {
		text = strings.TrimRight(text, "\n") + "\n\n"
	}
	want := f.copyUsers()
	want[u.Name] = u
	return f.replace(text+tableOf(u), u.Name, want)
}

// SetPassword sets or replaces the hash of a user.
func (f *File) SetPassword(name, hash string) error {
	u, ok := f.users[name]
	if !ok {
		return unknown(f.path, name)
	}
	if err := CheckHash(hash); err != nil {
		return fmt.Errorf("user %s: password: %w", name, err)
	}
	lines, e := f.split(), f.entry(name)
	field := "password = " + quote(hash) + "\n"
	if e.password > 0 {
		lines[e.password-1] = field
	} else {
		lines = slices.Insert(lines, min(e.header, len(lines)), field)
	}
	want := f.copyUsers()
	u.Password = hash
	want[name] = u
	return f.replace(strings.Join(lines, ""), name, want)
}

// Remove removes a user from the file. Comments after the user's last field
// stay, because they belong to what follows.
func (f *File) Remove(name string) error {
	if _, ok := f.users[name]; !ok {
		return unknown(f.path, name)
	}
	lines, e := f.split(), f.entry(name)
	from := e.header - 1
	to := max(min(e.end-1, len(lines)), from)
	for to > from+1 && isFiller(lines[to-1]) {
		to--
	}
	for from > 0 && isBlank(lines[from-1]) && (to == len(lines) || isBlank(lines[to])) {
		from--
	}
	want := f.copyUsers()
	delete(want, name)
	return f.replace(strings.Join(slices.Delete(lines, from, to), ""), name, want)
}

// replace makes text the content of the file if it parses to the users in want.
// It refuses when a user is written in a form that edits do not support, such
// as an inline table.
func (f *File) replace(text, name string, want map[string]User) error {
	next, err := Parse(f.path, text, f.check)
	if err != nil || !maps.EqualFunc(next.users, want, equal) || !next.ca.equal(f.ca) {
		return fmt.Errorf("user %s: the table in %s is not written as [user.%s] with a field a line: edit it by hand",
			name, f.path, name)
	}
	*f = *next
	return nil
}

func equal(a, b User) bool {
	return a.Name == b.Name && a.Role == b.Role && a.Password == b.Password &&
		slices.Equal(a.Keys, b.Keys) && slices.Equal(a.Allow, b.Allow) && slices.Equal(a.Deny, b.Deny)
}

// split returns the lines of the file. The last line gets a line feed, too.
func (f *File) split() []string {
	lines := slices.Collect(strings.Lines(f.text))
	if n := len(lines); n > 0 && !strings.HasSuffix(lines[n-1], "\n") {
		lines[n-1] += "\n"
	}
	return lines
}

func isBlank(line string) bool { return strings.TrimSpace(line) == "" }

func isFiller(line string) bool {
	return isBlank(line) || strings.HasPrefix(strings.TrimSpace(line), "#")
}

func tableOf(u User) string {
	var b strings.Builder
	name := u.Name
	if strings.Contains(name, ".") {
		name = quote(name) // a bare dot would begin a table in a table
	}
	fmt.Fprintf(&b, "[user.%s]\nrole = %s\n", name, quote(u.Role))
	if u.Password != "" {
		fmt.Fprintf(&b, "password = %s\n", quote(u.Password))
	}
	writeList(&b, "keys", u.Keys)
	writeList(&b, "allow", u.Allow)
	writeList(&b, "deny", u.Deny)
	return b.String()
}

func writeList(b *strings.Builder, name string, list []string) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "%s = [\n", name)
	for _, item := range list {
		fmt.Fprintf(b, "    %s,\n", quote(item))
	}
	b.WriteString("]\n")
}

// quote returns s as a basic string of TOML. A valid file of users has no
// control characters.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func unknown(path, name string) error {
	return fmt.Errorf("user %s: not in %s", name, path)
}
