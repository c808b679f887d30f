package commandline

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/norestart/norestart/commands"
)

// Registry is a set of commands. It never changes, so any number of sessions
// may share one.
type Registry struct {
	list    []*commands.Command // in order of registration
	byName  map[[2]string]*commands.Command
	groups  map[string]bool // first words of names of two
	builtin map[*commands.Command]bool
	limits  Limits
}

// NewRegistry makes a registry of the built-in commands and those of the
// application. It refuses a command without name, role or Run, a duplicate name,
// and a command of the application that would change the meaning of a built-in
// line: "worker" beside "worker info", "scale up" beside "scale".
func NewRegistry(builtin []commands.Command, custom ...commands.Command) (*Registry, error) {
	r := &Registry{byName: map[[2]string]*commands.Command{}, groups: map[string]bool{}, builtin: map[*commands.Command]bool{}}
	for _, c := range builtin {
		if err := r.add(c); err != nil {
			return nil, err
		}
	}
	for _, c := range r.list {
		r.builtin[c] = true
	}
	for _, c := range custom {
		first, _, two := strings.Cut(c.Name, " ")
		if !two && r.groups[first] || two && r.byName[[2]string{first}] != nil {
			return nil, fmt.Errorf("command %q: would hide built-in %q", c.Name, first)
		}
	}
	for _, c := range custom {
		if err := r.add(c); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *Registry) add(c commands.Command) error {
	if err := check(c); err != nil {
		return fmt.Errorf("command %q: %w", c.Name, err)
	}
	key := nameKey(c.Name)
	if r.byName[key] != nil {
		return fmt.Errorf("command %q: registered twice", c.Name)
	}
	if c.Group == "" {
		c.Group = "Application"
	}
	r.list = append(r.list, &c)
	r.byName[key] = &c
	if key[1] != "" {
		r.groups[key[0]] = true
	}
	return nil
}

func check(c commands.Command) error {
	switch {
	case !validName.MatchString(c.Name):
		return errors.New("not a name: one or two words of a-z, 0-9, _ and -")
	case !may(commands.Admin, c.Role):
		return errors.New("no role: name the least one that may run it")
	case c.Run == nil:
		return errors.New("nothing to run")
	}
	return nil
}

// word is a part of a name: ".exit" and "?" are words, too.
const word = `[a-z.?][a-z0-9_-]*`

var validName = regexp.MustCompile(`^` + word + `( ` + word + `)?$`)

func nameKey(name string) [2]string {
	first, second, _ := strings.Cut(name, " ")
	return [2]string{first, second}
}

// Lookup returns the command that args begin with, preferably one of two words,
// and the words after its name; nil if there is none. Names are never
// abbreviated: a new command must not change the meaning of a script.
func (r *Registry) Lookup(args []string) (*commands.Command, []string) {
	if len(args) > 1 && args[1] != "" {
		if c := r.byName[[2]string{args[0], args[1]}]; c != nil {
			return c, args[2:]
		}
	}
	if len(args) > 0 {
		if c := r.byName[[2]string{args[0]}]; c != nil {
			return c, args[1:]
		}
	}
	return nil, args
}

// Visible returns the commands that role may run within the registry's limits,
// in order of registration.
func (r *Registry) Visible(role commands.Role) []*commands.Command {
	var list []*commands.Command
	for _, c := range r.list {
		if r.shows(role, c) {
			list = append(list, c)
		}
	}
	return list
}

// listed are the visible commands without hidden ones.
func (r *Registry) listed(role commands.Role) []*commands.Command {
	return slices.DeleteFunc(r.Visible(role), func(c *commands.Command) bool { return c.Hidden })
}

// shows reports whether a user of that role may know of c.
func (r *Registry) shows(role commands.Role, c *commands.Command) bool {
	return may(role, c.Role) && r.mayShow(c)
}

// may reports whether role r may run what needs role need; false if either is not
// a role.
func may(r, need commands.Role) bool {
	return need >= commands.Viewer && need <= commands.Admin && r >= need && r <= commands.Admin
}

// ParseRole returns the role of that name. Only the three names are roles.
func ParseRole(name string) (commands.Role, error) {
	for _, r := range []commands.Role{commands.Viewer, commands.Operator, commands.Admin} {
		if r.String() == name {
			return r, nil
		}
	}
	return commands.NoRole, fmt.Errorf("no role %q: viewer, operator or admin", name)
}

// Secret reports whether the words of line must not be kept, also if it cannot be
// parsed.
func (r *Registry) Secret(line string) bool {
	words, err := Parse(line)
	if err != nil {
		words = strings.Fields(line)
	}
	if len(words) == 0 {
		return false
	}
	expanded, err := r.expand(words, commands.Admin)
	if err != nil { // a lesser role may know only one of them
		return slices.ContainsFunc(r.list, func(c *commands.Command) bool { return c.Secret && strings.HasPrefix(c.Name, words[0]) })
	}
	words = expanded
	c, _ := r.Lookup(words)
	return c != nil && c.Secret
}

// Redact returns words as they may be kept: of a secret command only its name.
func (r *Registry) Redact(words []string) []string {
	if c, _ := r.Lookup(words); c != nil && c.Secret {
		return strings.Fields(c.Name)
	}
	return words
}
