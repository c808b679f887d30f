package commands

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// apart tells commands apart that sound alike.
var apart = [][2]string{
	{"reload", "the application's pools, or those named: new generation of their code, arguments, directory"},
	{"restart", "every pool, built-in ones too, the shell last: sessions and connections stay"},
	{"worker restart", "one worker: a new process of the generation that it has"},
}

func help(_ context.Context, call *Call) error {
	words := call.Args[1:]
	if len(words) == 0 {
		return call.helpAll()
	}
	r := call.registry
	if c, rest := r.Lookup(words); c != nil && len(rest) == 0 {
		if !call.Role.may(c.Role) {
			return denied(c, call.Role)
		}
		if !r.limits.shows(c) {
			return outside(strings.Fields(c.Name))
		}
		return call.helpOn([]*Command{c})
	}
	if family := r.family(words[0], call.Role); len(words) == 1 && len(family) > 0 {
		return call.helpFamily(family)
	}
	for _, row := range filterRows("") {
		if len(words) == 1 && !call.JSON && strings.Fields(row[0])[1] == words[0] {
			_, err := call.Out.Write([]byte(layOut([][]string{row}, call.Width)))
			return err
		}
	}
	return r.unknown(words, call.Role)
}

// family returns the commands of two words that begin with first.
func (r *Registry) family(first string, role Role) []*Command {
	return slices.DeleteFunc(r.Visible(role), func(c *Command) bool {
		return !strings.HasPrefix(c.Name, first+" ")
	})
}

// helpFamily is a line for each command of a group.
func (c *Call) helpFamily(family []*Command) error {
	if c.JSON {
		return c.helpJSON(family)
	}
	var rows [][]string
	for _, command := range family {
		rows = append(rows, []string{synopsis(command), command.Summary})
	}
	_, err := c.Out.Write([]byte(layOut(rows, c.Width)))
	return err
}

// helpAll is a line for each command, by groups.
func (c *Call) helpAll() error {
	commands := c.registry.Visible(c.Role)
	if c.JSON {
		return c.helpJSON(commands)
	}
	var rows [][]string
	for _, group := range byGroup(commands) {
		rows = append(rows, []string{group[0].Group})
		for _, command := range group {
			rows = append(rows, []string{"  " + synopsis(command), command.Summary})
		}
	}
	text := layOut(rows, c.Width) + c.apartTable()
	text += layOut(append([][]string{{"Filters, after any command"}}, filterRows("  ")...), c.Width)
	text += "Every command takes --json, and --help.\nAt a prompt TAB completes, ? tells what may come next.\n"
	_, err := c.Out.Write([]byte(text))
	return err
}

func filterRows(indent string) [][]string {
	var rows [][]string
	for _, f := range filters {
		rows = append(rows, []string{indent + "| " + strings.TrimSpace(f.name+" "+f.usage), f.summary})
	}
	return rows
}

// apartTable has a row for each alike command that the user may run, and is
// left out if that is but one.
func (c *Call) apartTable() string {
	rows := [][]string{{"What starts what again"}}
	for _, row := range apart {
		if command, _ := c.registry.Lookup(strings.Fields(row[0])); command != nil && c.registry.shows(c.Role, command) {
			rows = append(rows, []string{"  " + row[0], row[1]})
		}
	}
	if len(rows) < 3 {
		return ""
	}
	return layOut(rows, c.Width)
}

// byGroup sorts commands by group; groups come in order of their first command.
func byGroup(commands []*Command) [][]*Command {
	var groups [][]*Command
	index := map[string]int{}
	for _, c := range commands {
		i, ok := index[c.Group]
		if !ok {
			i = len(groups)
			index[c.Group] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], c)
	}
	return groups
}

// helpOn is all about the commands.
func (c *Call) helpOn(commands []*Command) error {
	if c.JSON {
		return c.helpJSON(commands)
	}
	var b strings.Builder
	for i, command := range commands {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(c.paragraph("", usageLine(command)))
		b.WriteString(c.paragraph("  ", strings.TrimSpace(fmt.Sprintf("%s (role %s)", command.Summary, command.Role))))
		b.WriteString(layOut(flagRows(command), c.Width))
		for line := range strings.Lines(command.Help) {
			b.WriteString(c.paragraph("  ", strings.TrimSuffix(line, "\n")))
		}
	}
	_, err := c.Out.Write([]byte(b.String()))
	return err
}

// paragraph is a line of text, in several where it does not fit.
func (c *Call) paragraph(indent, line string) string {
	lines := []string{line}
	if c.Width > 0 && Columns(indent+line) > c.Width {
		lines = wrapWords(line, max(c.Width-len(indent), leastText))
	}
	return indent + strings.Join(lines, "\n"+indent) + "\n"
}

// synopsis is a command with its arguments.
func synopsis(c *Command) string {
	return strings.TrimSpace(c.Name + " " + c.Usage)
}

// usageLine is a command with its arguments and flags.
func usageLine(c *Command) string {
	line := synopsis(c)
	eachFlag(c, func(f *pflag.Flag) {
		line += " [" + flagForm(f) + "]"
	})
	return line
}

func flagRows(c *Command) [][]string {
	var rows [][]string
	eachFlag(c, func(f *pflag.Flag) {
		_, usage := pflag.UnquoteUsage(f)
		if shown := flagDefault(f); shown != "" {
			usage += " (default " + shown + ")"
		}
		rows = append(rows, []string{"  " + flagForm(f), usage})
	})
	return rows
}

func eachFlag(c *Command, do func(*pflag.Flag)) {
	if c.Flags != nil {
		newFlags(c.Name, c.Flags).VisitAll(do)
	}
}

// flagForm is a flag with a name for its value.
func flagForm(f *pflag.Flag) string {
	if mayStandAlone(f) {
		return "--" + f.Name + " [TIME]"
	}
	switch f.Value.Type() {
	case "bool":
		return "--" + f.Name
	case "duration":
		return "--" + f.Name + " TIME"
	case "int":
		return "--" + f.Name + " N"
	}
	value, _ := pflag.UnquoteUsage(f)
	return "--" + f.Name + " " + strings.ToUpper(value)
}

// flagDefault is empty where the default is the absence of the flag.
func flagDefault(f *pflag.Flag) string {
	switch f.DefValue {
	case "false", "0", "0s", "":
		return ""
	}
	return f.DefValue
}

type commandView struct {
	Name    string     `json:"name"`
	Role    string     `json:"role"`
	Group   string     `json:"group"`
	Usage   string     `json:"usage"`
	Summary string     `json:"summary"`
	Help    string     `json:"help"`
	Flags   []flagView `json:"flags"`
}

type flagView struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Default string `json:"default"`
	Usage   string `json:"usage"`
}

func (c *Call) helpJSON(commands []*Command) error {
	views := []commandView{}
	for _, command := range commands {
		v := commandView{
			command.Name, command.Role.String(), command.Group, usageLine(command),
			command.Summary, command.Help,
			[]flagView{},
		}
		eachFlag(command, func(f *pflag.Flag) {
			_, usage := pflag.UnquoteUsage(f)
			v.Flags = append(v.Flags, flagView{f.Name, f.Value.Type(), f.DefValue, usage})
		})
		views = append(views, v)
	}
	return c.WriteJSON(map[string]any{"commands": views})
}
