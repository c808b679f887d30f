package commands

import (
	"fmt"
	"slices"
	"strings"
)

const (
	maxSuggestions = 3
	maxGuess       = 64 // bytes of a name that is worth comparing
)

// Suggest returns what the user may have meant by args, best first: the
// commands of a group whose name alone was typed, else the names with few
// typing errors between. Only commands that role may run are suggested.
func (r *Registry) Suggest(args []string, role Role) []string {
	if len(args) == 0 {
		return nil
	}
	if len(args) == 1 && r.groups[args[0]] {
		var names []string
		for _, c := range r.family(args[0], role) {
			names = append(names, c.Name)
		}
		slices.Sort(names)
		return names
	}
	type guess struct {
		name     string
		distance int
	}
	var guesses []guess
	for _, c := range r.Visible(role) {
		typed := strings.Join(args[:min(len(args), 1+strings.Count(c.Name, " "))], " ")
		if len(typed) > maxGuess {
			continue
		}
		if d := distance(typed, c.Name); d < len(c.Name) && d <= max(1, len(c.Name)/4) {
			guesses = append(guesses, guess{c.Name, d})
		}
	}
	slices.SortStableFunc(guesses, func(a, b guess) int { return a.distance - b.distance })
	var names []string
	for _, g := range guesses[:min(len(guesses), maxSuggestions)] {
		names = append(names, g.name)
	}
	return names
}

// unknown is the error for args that name no command.
func (r *Registry) unknown(args []string, role Role) *Error {
	typed, word := args[0], args[0]
	if len(args) > 1 && r.groups[args[0]] {
		typed, word = args[0]+" "+args[1], args[1]
	}
	e := &Error{Status: StatusUnknown, Code: "unknown_command", brief: "unknown command"}
	e = e.about(word)
	e.Message = fmt.Sprintf(`unknown command "%s"`, clip(typed, maxGuess))
	switch names := r.Suggest(args, role); {
	case len(names) > 0 && len(args) == 1 && r.groups[typed]:
		e.brief = ""
		e.Message = fmt.Sprintf("%s is not a whole command: %s", typed, strings.Join(names, ", "))
	case len(names) > 0:
		mean := ". Did you mean: " + strings.Join(names, ", ")
		e.Message, e.brief = e.Message+mean, e.brief+mean
	case len(r.family(args[0], role)) > 0:
		e.Hint = "help " + args[0]
	case strings.HasPrefix(typed, "-"):
		e.Hint = "flags go after the command"
	default:
		e.Hint = "help"
	}
	return e
}

// distance is how many letters were left out, added, changed or swapped with
// their neighbour between a and b (optimal string alignment).
func distance(a, b string) int {
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+differ(a[i-1], b[j-1]))
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}

func differ(a, b byte) int {
	if a == b {
		return 0
	}
	return 1
}
