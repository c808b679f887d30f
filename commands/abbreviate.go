package commands

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// expand completes the abbreviated name of a command that a person typed: "w l"
// is "worker list" while no other command that role may run begins so. Words
// that abbreviate nothing stay as they are, and a name that is whole always
// means itself.
func (r *Registry) expand(words []string, role Role) ([]string, error) {
	firsts, seconds := r.nameWords(words[0], role)
	if len(firsts) > 1 && !slices.Contains(firsts, words[0]) {
		return nil, ambiguous(words[0], firsts).about(words[0])
	}
	if len(firsts) == 0 {
		return words, nil
	}
	first := firsts[0]
	if slices.Contains(firsts, words[0]) {
		first, seconds = words[0], nil
		for _, c := range r.family(first, role) {
			seconds = append(seconds, nameKey(c.Name)[1])
		}
	}
	expanded := append([]string{first}, words[1:]...)
	if len(words) == 1 || slices.Contains(seconds, words[1]) {
		return expanded, nil
	}
	fits := slices.DeleteFunc(seconds, func(s string) bool { return !strings.HasPrefix(s, words[1]) })
	switch {
	case len(fits) == 1:
		expanded[1] = fits[0]
	case len(fits) > 1 && words[1] != "":
		return nil, ambiguous(words[0]+" "+words[1], fits).about(words[1])
	}
	return expanded, nil
}

// nameWords returns the first words of names that begin with typed, and the
// second words of the last of them.
func (r *Registry) nameWords(typed string, role Role) (firsts, seconds []string) {
	for _, c := range r.Visible(role) {
		key := nameKey(c.Name)
		if typed == "" || !strings.HasPrefix(key[0], typed) {
			continue
		}
		if !slices.Contains(firsts, key[0]) {
			firsts, seconds = append(firsts, key[0]), nil
		}
		if key[1] != "" {
			seconds = append(seconds, key[1])
		}
	}
	return firsts, seconds
}

func ambiguous(typed string, fits []string) *Error {
	return &Error{
		Status: StatusUnknown, Code: "ambiguous_command",
		Message: fmt.Sprintf("ambiguous: %s → %s", typed, strings.Join(fits, ", ")),
	}
}

// meant is the index of the word that the error is about, -1 if it is about
// none: the one that it says, or that a wrong usage or name quotes.
func (e *Error) meant(words []string) int {
	if e.word != "" {
		return slices.Index(words, e.word)
	}
	if e.Status != StatusUsage && !strings.HasPrefix(e.Code, "no_such_") {
		return -1
	}
	return slices.IndexFunc(words, func(w string) bool {
		return strings.Contains(e.Message, strconv.Quote(w)) || strings.HasPrefix(w, "-") && strings.HasSuffix(e.Message, "unknown flag: "+w)
	})
}

// caret shows a person the line again and points at the word that the error is
// about. It is empty where that would not help: there is no terminal, the line
// wraps, or its columns cannot be counted.
func (in Invocation) caret(e *Error, line parsed) string {
	at := e.column
	if i := e.meant(line.words); at == 0 && i >= 0 && i < len(line.starts) {
		at = line.starts[i]
	}
	if at == 0 || in.Screen.Height == 0 || in.Screen.Width <= len(in.Line) || !plain(in.Line) || strings.Contains(in.Line, "\t") {
		return ""
	}
	text := e.brief
	if text == "" {
		text = e.Message
	}
	return fmt.Sprintf("%s\n%s^ %s\n", in.Line, strings.Repeat(" ", at-1), Safe(text))
}
