package commands

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/control"
)

// completeWithin is how long the words of an argument may take to be found: a
// person waits at the key.
const completeWithin = 200 * time.Millisecond

// maxCandidates bounds what a completer may say.
const maxCandidates = 1000

// Completion is a line that a person has typed so far.
type Completion struct {
	Line    string // up to the cursor
	User    string
	Role    Role
	Control control.Control // in the name of User
}

// Candidate is what may stand in the place of the unfinished end of a line.
type Candidate struct{ Text, Summary string }

// Complete returns what may stand in line from byte from on: the name of a
// command that the role may run, a flag, an argument, a filter. Where an
// argument is asked for that the cluster or the application does not name in
// 200 ms, there is none; what it runs has ended when Complete returns.
func (r *Registry) Complete(ctx context.Context, c Completion) (from int, list []Candidate) {
	t, ok := takeApart(c.Line)
	if !ok {
		return 0, nil
	}
	if t.filter {
		return t.from, fitting(t.last, filterNames(t.words))
	}
	command, args := r.Lookup(t.words)
	switch {
	case command == nil || len(args) == 0 && r.groups[command.Name] && t.last != "" && !strings.Contains(command.Name, " "):
		return r.completeName(t, c.Role)
	case !r.shows(c.Role, command):
		return 0, nil
	case command.Name == "help" || command.Name == "?":
		t.start, t.words = t.argument, args
		return r.completeName(t, c.Role)
	}
	return t.from, fitting(t.last, r.arguments(ctx, c, command, args, t.last))
}

// typedLine is a line up to the cursor.
type typedLine struct {
	words    []string // the whole ones
	last     string   // the one in hand, perhaps empty
	from     int      // the byte where that begins
	start    int      // the byte where the first begins
	argument int      // the byte where the second begins
	filter   bool     // last stands behind a |
}

// takeApart is false for what cannot be completed: inside quotes or a comment.
func takeApart(line string) (typedLine, bool) {
	var s scanner
	runes := []rune(line)
	if checkText(line) != nil || s.scan(runes) != nil {
		return typedLine{}, false
	}
	part := s.parts[len(s.parts)-1]
	at := func(i int) int { return len(string(runes[:part.starts[i]-1])) }
	t := typedLine{from: len(line), start: len(line), argument: len(line), filter: len(s.parts) > 1}
	words := strings.Fields(line[len(string(runes[:part.column])):])
	if len(words) != len(part.starts) || strings.ContainsAny(part.text, `'"\`) {
		return typedLine{}, false
	}
	if len(words) > 0 {
		t.start = at(0)
	}
	if len(words) > 1 {
		t.argument = at(1)
	}
	t.words = words
	if n := len(words); n > 0 && !strings.HasSuffix(line, " ") && !strings.HasSuffix(line, "\t") {
		t.words, t.last, t.from = words[:n-1], words[n-1], at(n-1)
	}
	return t, true
}

func (r *Registry) completeName(t typedLine, role Role) (int, []Candidate) {
	typed := strings.Join(append(slices.Clone(t.words), t.last), " ")
	var list []Candidate
	for _, c := range r.Visible(role) {
		if strings.HasPrefix(c.Name, typed) {
			list = append(list, Candidate{c.Name, c.Summary})
		}
	}
	slices.SortFunc(list, func(a, b Candidate) int { return strings.Compare(a.Text, b.Text) })
	return t.start, list
}

func fitting(typed string, list []Candidate) []Candidate {
	return slices.DeleteFunc(list, func(c Candidate) bool { return !strings.HasPrefix(c.Text, typed) })
}

func filterNames(before []string) []Candidate {
	var list []Candidate
	for _, f := range filters {
		if len(before) == 0 {
			list = append(list, Candidate{f.name, strings.TrimSpace(f.usage + " " + f.summary)})
		}
	}
	return list
}

// arguments lists flags where a dash was typed, else what the command names.
func (r *Registry) arguments(ctx context.Context, c Completion, command *Command, args []string, last string) []Candidate {
	if strings.HasPrefix(last, "-") {
		return flagNames(command)
	}
	complete := command.Complete
	if flag := lastFlag(command, args); flag != nil {
		if complete = flagValues[flag.Name]; complete == nil {
			return nil
		}
	}
	if complete == nil {
		return nil
	}
	in := Invocation{User: c.User, Role: c.Role, Control: c.Control, Mode: Interactive}
	var list []Candidate
	asking, cancel := context.WithTimeout(ctx, completeWithin)
	defer cancel()
	err := in.guarded(command.Name, func() error {
		call := in.call(asking, nil, false)
		call.registry, call.Args = r, append([]string{command.Name}, withoutFlags(command, args)...)
		words, err := complete(asking, call, last)
		for _, word := range words[:min(len(words), maxCandidates)] {
			if checkText(word) == nil && !strings.ContainsAny(word, " \t'\"\\|#") {
				list = append(list, Candidate{Text: word})
			}
		}
		return err
	})
	if err != nil {
		return nil
	}
	return list
}

func flagNames(c *Command) []Candidate {
	var list []Candidate
	eachFlag(c, func(f *pflag.Flag) {
		_, usage := pflag.UnquoteUsage(f)
		list = append(list, Candidate{"--" + f.Name, usage})
	})
	return append(list, Candidate{"--json", "for programs"}, Candidate{"--help", "what the command does"})
}

// lastFlag is the flag whose value comes next, if one does.
func lastFlag(c *Command, args []string) *pflag.Flag {
	if c.Flags == nil || len(args) == 0 {
		return nil
	}
	flags := newFlags(c.Name, c.Flags)
	if !wantsValue(flags, args[len(args)-1]) {
		return nil
	}
	return flags.Lookup(strings.TrimPrefix(args[len(args)-1], "--"))
}

// withoutFlags leaves the arguments.
func withoutFlags(c *Command, args []string) []string {
	var rest []string
	flags := newFlags(c.Name, c.Flags)
	for i, arg := range args {
		value := i > 0 && wantsValue(flags, args[i-1])
		if !value && !strings.HasPrefix(arg, "--") {
			rest = append(rest, arg)
		}
	}
	return rest
}

// flagValues completes the values of flags by their name.
var flagValues = map[string]func(context.Context, *Call, string) ([]string, error){"worker": anyWorker}

// Explain is what a person reads who types ? in the line: what may come next,
// and whether the line is whole.
func (r *Registry) Explain(ctx context.Context, c Completion, width int) string {
	t, ok := takeApart(c.Line)
	if !ok {
		return ""
	}
	_, list := r.Complete(ctx, c)
	var rows [][]string
	for _, candidate := range list {
		rows = append(rows, []string{candidate.Text, candidate.Summary})
	}
	command, args := r.Lookup(t.words)
	if t.filter || command == nil || !r.shows(c.Role, command) {
		return layOut(rows, width)
	}
	for _, flag := range flagNames(command) {
		rows = append(rows, []string{flag.Text, flag.Summary})
	}
	if len(args) > 0 || !strings.Contains(command.Usage, " ") && !needs(command.Usage) {
		rows = append(rows, []string{"<Enter>", ""})
	}
	head := wrapWords(fmt.Sprintf("%s: %s", usageLine(command), command.Summary), max(width-4, leastText))
	return strings.Join(head, "\n    ") + "\n" + layOut(rows, width)
}

// needs reports whether a usage begins with an argument that may not be left out.
func needs(usage string) bool { return usage != "" && !strings.HasPrefix(usage, "[") }
