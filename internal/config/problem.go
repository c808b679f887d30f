package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a file.
type Problem struct {
	File string // as it was named
	Line int    // from 1
	Text string
}

func (p Problem) Error() string { return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text) }

// Problems are all that is wrong with a file, and with those that it names, in
// the order of the text.
type Problems []Problem

// Error has a line for each.
func (all Problems) Error() string {
	lines := make([]string, len(all))
	for i, p := range all {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// sorted are the problems of file, by line, and then those of others.
func (all Problems) sorted(file string) Problems {
	slices.SortStableFunc(all, func(a, b Problem) int {
		if a.File != b.File {
			return cmp.Compare(rank(a.File, file), rank(b.File, file))
		}
		return cmp.Compare(a.Line, b.Line)
	})
	return all
}

func rank(name, first string) int {
	if name == first {
		return 0
	}
	return 1
}
