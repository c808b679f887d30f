package commandline

import (
	"fmt"
	"slices"
	"strings"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/typeset"
)

const (
	maxSuggestions = 3
	maxGuess       = 64 // bytes of a name; longer ones are not compared
)

// suggest returns what the user may have meant by args, best first: the commands
// of a group of which only the name was typed, else names with few typing errors
// between. Commands that end something are left out, because a guess must do no
// harm, and so are those that role may not run.
func (r *Registry) suggest(args []string, role commands.Role) []string {
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
		if c.Ends || len(typed) > maxGuess {
			continue
		}
		if d := typeset.Distance(typed, c.Name); d < len(c.Name) && d <= max(1, len(c.Name)/4) {
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

func (r *Registry) unknown(args []string, role commands.Role) error {
	typed, word := args[0], args[0]
	if len(args) > 1 && r.groups[args[0]] {
		typed, word = args[0]+" "+args[1], args[1]
	}
	e := &control.Error{Code: codeUnknown, Message: fmt.Sprintf(`unknown command "%s"`, typeset.Clip(typed, maxGuess))}
	m := &misread{err: e, word: word, brief: "unknown command"}
	switch names := r.suggest(args, role); {
	case len(names) > 0 && len(args) == 1 && r.groups[typed]:
		m.brief = ""
		e.Message = fmt.Sprintf("%s is not a whole command: %s", typed, strings.Join(names, ", "))
	case len(names) > 0:
		mean := ". Did you mean: " + strings.Join(names, ", ")
		e.Message, m.brief = e.Message+mean, m.brief+mean
	case len(r.family(args[0], role)) > 0:
		e.Hint = "help " + args[0]
	case strings.HasPrefix(typed, "-"):
		e.Hint = "flags go after the command"
	default:
		e.Hint = "help"
	}
	return m
}
