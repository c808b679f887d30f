package ignore

import (
	"path"
	"regexp"
	"strings"
)

// Defaults are patterns of files that change without a change of the program:
// those of version control, dependencies, caches and editors.
var Defaults = []string{
	".git/", ".hg/", ".svn/", "node_modules/", "__pycache__/", ".venv/", "*.pyc", ".DS_Store",
	"*.swp", "*.swx", "*~", ".#*", "#*#", "4913", "*.tmp", ".~*", "___jb_*",
}

// pattern is a line of a .gitignore.
type pattern struct {
	match   *regexp.Regexp // of a path from the directory that is watched
	dirs    bool           // directories alone
	include bool           // what an earlier one has excluded is not
}

// Patterns are in the order in which they were written: the last that matches
// decides.
type Patterns []pattern

// Parse reads patterns. The error, of package path, is that of the last that is
// none; the others can be used.
func Parse(texts ...string) (all Patterns, err error) {
	for _, text := range texts {
		p, bad := newPattern(text)
		if bad != nil {
			err = bad
			continue
		}
		all = append(all, p)
	}
	return all, err
}

// newPattern reads a pattern as gitignore(5) has it.
func newPattern(text string) (p pattern, err error) {
	text, p.include = strings.CutPrefix(text, "!")
	text, p.dirs = strings.CutSuffix(text, "/")
	begin := "(.*/)?"
	if strings.Contains(text, "/") {
		begin, text = "", strings.TrimPrefix(text, "/")
	}
	if _, err := path.Match(text, ""); err != nil || text == "" {
		return p, path.ErrBadPattern
	}
	p.match, err = regexp.Compile("^" + begin + globbed(text) + "$")
	return p, err
}

// globbed is a pattern as a regular expression.
func globbed(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		n := 1
		switch c := text[0]; {
		case strings.HasPrefix(text, "**/"):
			b.WriteString("(.*/)?")
			n = len("**/")
		case strings.HasPrefix(text, "**"):
			b.WriteString(".*")
			n = len("**")
		case c == '*':
			b.WriteString("[^/]*")
		case c == '?':
			b.WriteString("[^/]")
		case c == '[' && strings.Contains(text, "]"):
			n = strings.IndexByte(text, ']') + 1
			b.WriteString("[" + strings.Replace(text[1:n-1], "!", "^", 1) + "]")
		case c == '\\' && len(text) > 1:
			b.WriteString(regexp.QuoteMeta(text[1:2]))
			n = 2
		default:
			b.WriteString(regexp.QuoteMeta(text[:1]))
		}
		text = text[n:]
	}
	return b.String()
}

// Exclude reports whether a path is left out, or a directory above it is. It is
// from the directory that the patterns are for, with slashes.
func (all Patterns) Exclude(name string, dir bool) bool {
	for i := range len(name) {
		if name[i] == '/' && all.excludes(name[:i], true) {
			return true
		}
	}
	return all.excludes(name, dir)
}

func (all Patterns) excludes(name string, dir bool) bool {
	excluded := false
	for _, p := range all {
		if (dir || !p.dirs) && p.match.MatchString(name) {
			excluded = !p.include
		}
	}
	return excluded
}
