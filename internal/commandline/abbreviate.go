package commandline

import (
	"fmt"
	"slices"
	"strings"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

// expand completes the abbreviated name of a command that a person typed: "w l"
// is "worker list" while no other command that role may run begins so. Words
// that abbreviate nothing stay as they are, and a name that is whole always
// means itself.
func (r *Registry) expand(words []string, role commands.Role) ([]string, error) {
	firsts, seconds := r.nameWords(words[0], role)
	if len(firsts) > 1 && !slices.Contains(firsts, words[0]) {
		return nil, ambiguous(words[0], firsts, words[0])
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
		return nil, ambiguous(words[0]+" "+words[1], fits, words[1])
	}
	return expanded, nil
}

// nameWords returns the first words of names that begin with typed, and the
// second words of the last of them.
func (r *Registry) nameWords(typed string, role commands.Role) (firsts, seconds []string) {
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

func ambiguous(typed string, fits []string, word string) error {
	return &misread{word: word, err: &control.Error{
		Code: codeAmbiguous, Message: fmt.Sprintf("ambiguous: %s → %s", typed, strings.Join(fits, ", ")),
	}}
}
