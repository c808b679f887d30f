package commandline

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/flagset"
	"github.com/norestart/norestart/internal/typeset"
)

// completeWithin bounds how long an argument is looked up: a person waits at the
// key.
const completeWithin = 200 * time.Millisecond

// maxCandidates bounds the answer of a completer.
const maxCandidates = 1000

// Completion is a line that a person has typed so far.
type Completion struct {
	Line    string // up to the cursor
	User    string
	Role    commands.Role
	Control control.Control // in the name of User
}

// Candidate may replace the unfinished end of a line.
type Candidate struct{ Text, Summary string }

// Complete returns what may stand in line from byte from on: a command that the
// role may run, a flag, an argument, a filter. Arguments that the cluster or the
// application does not name within 200 ms are left out. Functions of the
// application may panic, and may end the goroutine of the caller
// (runtime.Goexit).
func (r *Registry) Complete(ctx context.Context, c Completion) (from int, list []Candidate) {
	defer func() {
		if recover() != nil {
			from, list = 0, nil
		}
	}()
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
	last     string   // the unfinished one, perhaps empty
	from     int      // the byte where last begins
	start    int      // the byte where the first begins
	argument int      // the byte where the second begins
	filter   bool     // last stands behind a |
}

// takeApart is false inside quotes or a comment, where nothing can be completed.
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

func (r *Registry) completeName(t typedLine, role commands.Role) (int, []Candidate) {
	typed := strings.Join(append(slices.Clone(t.words), t.last), " ")
	var list []Candidate
	for _, c := range r.Visible(role) {
		if strings.HasPrefix(c.Name, typed) && (!c.Hidden || typed != "") {
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

// arguments lists flags after a dash, else what the command completes.
func (r *Registry) arguments(ctx context.Context, c Completion, command *commands.Command, args []string, last string) []Candidate {
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
	ctx, cancel := context.WithTimeout(ctx, completeWithin)
	defer cancel()
	in := Invocation{User: c.User, Role: c.Role, Control: c.Control, Mode: commands.Interactive}
	words, err := complete(ctx, in.call(ctx, append([]string{command.Name}, withoutFlags(command, args)...), false), last)
	if err != nil {
		return nil
	}
	var list []Candidate
	for _, word := range words[:min(len(words), maxCandidates)] {
		if checkText(word) == nil && !strings.ContainsAny(word, " \t'\"\\|#") {
			list = append(list, Candidate{Text: word})
		}
	}
	return list
}

func flagNames(c *commands.Command) []Candidate {
	var list []Candidate
	eachFlag(c, func(f *pflag.Flag) {
		_, usage := pflag.UnquoteUsage(f)
		list = append(list, Candidate{"--" + f.Name, usage})
	})
	return append(list, Candidate{"--json", "for programs"}, Candidate{"--help", "what the command does"})
}

// lastFlag is the flag whose value is typed next, if any.
func lastFlag(c *commands.Command, args []string) *pflag.Flag {
	if c.Flags == nil || len(args) == 0 {
		return nil
	}
	flags := flagset.New(c.Name, c.Flags)
	if !flagset.WantsValue(flags, args[len(args)-1]) {
		return nil
	}
	return flags.Lookup(strings.TrimPrefix(args[len(args)-1], "--"))
}

func withoutFlags(c *commands.Command, args []string) []string {
	var rest []string
	flags := flagset.New(c.Name, c.Flags)
	for i, arg := range args {
		value := i > 0 && flagset.WantsValue(flags, args[i-1])
		if !value && !strings.HasPrefix(arg, "--") {
			rest = append(rest, arg)
		}
	}
	return rest
}

// flagValues completes the values of flags by their name.
var flagValues = map[string]func(context.Context, *commands.Call, string) ([]string, error){"worker": AnyWorker}

// AnyWorker completes the id of a worker.
func AnyWorker(ctx context.Context, call *commands.Call, _ string) ([]string, error) {
	workers, err := control.Get(ctx, call.Primary, control.WorkersQuery{})
	var ids []string
	for _, w := range workers {
		ids = append(ids, w.ID)
	}
	return ids, err
}

// Explain answers a ? that a person types in the line: what may come next, and
// whether the line is whole.
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
		return typeset.List(rows, width)
	}
	for _, flag := range flagNames(command) {
		rows = append(rows, []string{flag.Text, flag.Summary})
	}
	if len(args) > 0 || !strings.Contains(command.Usage, " ") && !needs(command.Usage) {
		rows = append(rows, []string{"<Enter>", ""})
	}
	head := typeset.Wrap(fmt.Sprintf("%s: %s", usageLine(command), command.Summary), max(width-4, typeset.LeastText))
	return strings.Join(head, "\n    ") + "\n" + typeset.List(rows, width)
}

// needs reports whether a usage begins with a required argument.
func needs(usage string) bool { return usage != "" && !strings.HasPrefix(usage, "[") }
