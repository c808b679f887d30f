package commandline

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/flagset"
	"github.com/norestart/norestart/internal/typeset"
)

// apart tells apart commands with similar names.
var apart = [][2]string{
	{"reload", "the application's pools, or those named: a new generation, with the program, arguments and directory as they are now"},
	{"restart", "the primary and every pool, the shell last: sessions and connections stay"},
	{"worker restart", "one worker: a new process of the same generation"},
}

const apartHeading = "What reload, restart and worker restart replace"

type helper struct {
	*commands.Call
	registry *Registry
}

func Help(ctx context.Context, call *commands.Call) error {
	h := helper{call, InvocationOf(ctx).registry}
	words, r := call.Args[1:], h.registry
	if len(words) == 0 {
		return h.brief()
	}
	c, rest := r.Lookup(words)
	switch family := r.family(words[0], call.Role); {
	case c == nil && len(words) == 1 && words[0] == "all":
		return h.all()
	case c != nil && len(rest) == 0 && !may(call.Role, c.Role):
		return denied(c, call.Role)
	case c != nil && len(rest) == 0 && !r.mayShow(c):
		return outside(strings.Fields(c.Name))
	case c != nil && len(rest) == 0:
		return h.on([]*commands.Command{c})
	case len(words) == 1 && len(family) > 0:
		return h.family(family)
	}
	for _, row := range filterRows("") {
		if len(words) == 1 && !call.JSON && strings.Fields(row[0])[1] == words[0] {
			return h.write(typeset.List([][]string{row}, call.Width))
		}
	}
	return r.unknown(words, call.Role)
}

func (h helper) write(text string) error {
	_, err := io.WriteString(h.Out, text)
	return err
}

// family returns the commands of two words whose first is first.
func (r *Registry) family(first string, role commands.Role) []*commands.Command {
	return slices.DeleteFunc(r.Visible(role), func(c *commands.Command) bool {
		return !strings.HasPrefix(c.Name, first+" ")
	})
}

func (h helper) family(family []*commands.Command) error {
	if h.JSON {
		return h.json(family)
	}
	var rows [][]string
	for _, command := range family {
		rows = append(rows, []string{synopsis(command), command.Summary})
	}
	return h.write(typeset.List(rows, h.Width))
}

func (h helper) all() error {
	if h.JSON {
		return h.json(h.registry.Visible(h.Role))
	}
	var rows [][]string
	for _, group := range byGroup(h.registry.listed(h.Role)) {
		rows = append(rows, []string{group[0].Group})
		for _, command := range group {
			rows = append(rows, []string{"  " + synopsis(command), command.Summary})
		}
	}
	text := typeset.List(rows, h.Width) + h.apartTable()
	text += typeset.List(append([][]string{{"Filters, after any command"}}, filterRows("  ")...), h.Width)
	text += "Every command takes --json and --help. At a prompt TAB completes, ? shows what may come next.\n"
	return h.write(text)
}

// common are the commands that help explains in a line; it only names the others.
var common = []string{
	"status", "worker info", "worker list", "log", "events",
	"worker revive", "scale", "reload", "rollback", "restart", "stop",
}

const (
	helpWidth    = 80 // where the terminal's is not known
	helpMaxNames = 2
)

// brief fits a terminal of 24 lines.
func (h helper) brief() error {
	if h.JSON {
		return h.all()
	}
	var b strings.Builder
	for _, group := range byGroup(h.registry.listed(h.Role)) {
		b.WriteString(h.group(group))
	}
	b.WriteString(h.paragraph("", "More: help all, help COMMAND. TAB completes, ? shows what may come next."))
	return h.write(b.String())
}

// unbroken stands for the space of a name of two words, at which no line ends.
const unbroken = "·"

// group has a line for each common command and the names of the others, in a few
// lines.
func (h helper) group(group []*commands.Command) string {
	head, text := group[0].Group, ""
	var names []string
	for _, command := range group {
		if h.registry.builtin[command] && slices.Contains(common, command.Name) {
			text += h.paragraph("  ", fmt.Sprintf("%-13s  %s", command.Name, command.Summary))
		} else {
			names = append(names, strings.ReplaceAll(command.Name, " ", unbroken))
		}
	}
	list := strings.Join(names, ", ")
	if text == "" {
		head, list = "", head+": "+list
	}
	lines := typeset.Wrap(list, max(cmp.Or(h.Width, helpWidth)-2, typeset.LeastText))
	if len(lines) > helpMaxNames {
		lines = append(lines[:helpMaxNames-1], fmt.Sprintf("… %d in all, see: help all", len(names)))
	}
	list = strings.ReplaceAll(strings.Join(lines, "\n  "), unbroken, " ") + "\n"
	switch {
	case head == "":
		return list
	case len(names) == 0:
		list = ""
	default:
		list = "  " + list
	}
	return h.paragraph("", head) + text + list
}

func filterRows(indent string) [][]string {
	var rows [][]string
	for _, f := range filters {
		rows = append(rows, []string{indent + "| " + strings.TrimSpace(f.name+" "+f.usage), f.summary})
	}
	return rows
}

func (h helper) apartTable() string {
	rows := [][]string{{apartHeading}}
	for _, row := range apart {
		if command, _ := h.registry.Lookup(strings.Fields(row[0])); command != nil && h.registry.shows(h.Role, command) {
			rows = append(rows, []string{"  " + row[0], row[1]})
		}
	}
	if len(rows) < 3 {
		return ""
	}
	return typeset.List(rows, h.Width)
}

// byGroup sorts commands by group, in the order of their first commands.
func byGroup(list []*commands.Command) [][]*commands.Command {
	var groups [][]*commands.Command
	index := map[string]int{}
	for _, c := range list {
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

func (h helper) on(list []*commands.Command) error {
	if h.JSON {
		return h.json(list)
	}
	var b strings.Builder
	for i, command := range list {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(h.paragraph("", usageLine(command)))
		b.WriteString(h.paragraph("  ", strings.TrimSpace(fmt.Sprintf("%s (role %s)", command.Summary, command.Role))))
		b.WriteString(typeset.List(flagRows(command), h.Width))
		for line := range strings.Lines(command.Help) {
			b.WriteString(h.paragraph("  ", strings.TrimSuffix(line, "\n")))
		}
	}
	return h.write(b.String())
}

// paragraph wraps a line of text.
func (h helper) paragraph(indent, line string) string {
	lines := []string{line}
	if h.Width > 0 && typeset.Columns(indent+line) > h.Width {
		lines = typeset.Wrap(line, max(h.Width-len(indent), typeset.LeastText))
	}
	return indent + strings.Join(lines, "\n"+indent) + "\n"
}

func synopsis(c *commands.Command) string {
	return strings.TrimSpace(c.Name + " " + c.Usage)
}

func usageLine(c *commands.Command) string {
	line := synopsis(c)
	eachFlag(c, func(f *pflag.Flag) {
		line += " [" + flagForm(f) + "]"
	})
	return line
}

func flagRows(c *commands.Command) [][]string {
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

func eachFlag(c *commands.Command, do func(*pflag.Flag)) {
	if c.Flags != nil {
		flagset.New(c.Name, c.Flags).VisitAll(do)
	}
}

func flagForm(f *pflag.Flag) string {
	if flagset.StandsAlone(f) {
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

// flagDefault is empty if the default means the absence of the flag.
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

func (h helper) json(list []*commands.Command) error {
	views := []commandView{}
	for _, command := range list {
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
	return h.WriteJSON(map[string]any{"commands": views})
}
