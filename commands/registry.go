package commands

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Registry is a set of commands. It never changes, so any number of sessions
// may share one.
type Registry struct {
	list   []*Command // in order of registration
	byName map[[2]string]*Command
	groups map[string]bool // first words of names of two
	limits Limits
}

// NewRegistry makes a registry of the built-in commands and those of the
// application. It refuses a command without name, role or Run, a name twice,
// and one of the application that would change the meaning of a built-in line:
// "worker" beside "worker info", "scale up" beside "scale".
func NewRegistry(builtin []Command, custom ...Command) (*Registry, error) {
	r := &Registry{byName: map[[2]string]*Command{}, groups: map[string]bool{}}
	for _, c := range builtin {
		if err := r.add(c); err != nil {
			return nil, err
		}
	}
	shadowed := r.shadows()
	for _, c := range custom {
		if err := shadowed(c.Name); err != nil {
			return nil, err
		}
		if err := r.add(c); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *Registry) add(c Command) error {
	if err := check(c); err != nil {
		return fmt.Errorf("command %q: %w", c.Name, err)
	}
	key := nameKey(c.Name)
	if r.byName[key] != nil {
		return fmt.Errorf("command %q: registered twice", c.Name)
	}
	if c.Group == "" {
		c.Group = groupApplication
	}
	r.list = append(r.list, &c)
	r.byName[key] = &c
	if key[1] != "" {
		r.groups[key[0]] = true
	}
	return nil
}

func check(c Command) error {
	switch {
	case !isName(c.Name):
		return errors.New("not a name: one or two words of a-z, 0-9, _ and -")
	case !Admin.may(c.Role):
		return errors.New("no role: name the least one that may run it")
	case c.Run == nil:
		return errors.New("nothing to run")
	}
	return nil
}

// isName reports whether name is one or two words that begin with a letter,
// a dot or a question mark (".exit" and "?" are words, too).
func isName(name string) bool {
	first, second, two := strings.Cut(name, " ")
	return isWord(first) && (!two || isWord(second))
}

func isWord(word string) bool {
	for i, r := range word {
		letter := r >= 'a' && r <= 'z'
		if i == 0 && !letter && r != '.' && r != '?' {
			return false
		}
		if i > 0 && !letter && !(r >= '0' && r <= '9') && r != '_' && r != '-' {
			return false
		}
	}
	return word != ""
}

// shadows returns a check of names against the commands that r has now.
func (r *Registry) shadows() func(string) error {
	alone, groups := map[string]bool{}, map[string]bool{}
	for _, c := range r.list {
		key := nameKey(c.Name)
		if key[1] == "" {
			alone[key[0]] = true
		} else {
			groups[key[0]] = true
		}
	}
	return func(name string) error {
		key := nameKey(name)
		if key[1] == "" && groups[key[0]] || key[1] != "" && alone[key[0]] {
			return fmt.Errorf("command %q: would hide built-in %q", name, key[0])
		}
		return nil
	}
}

func nameKey(name string) [2]string {
	first, second, _ := strings.Cut(name, " ")
	return [2]string{first, second}
}

// Lookup returns the command that args begin with, the one of two words where
// there is one, and the words after its name; nil if there is none. Names are
// never abbreviated: a script must not change its meaning with a new command.
func (r *Registry) Lookup(args []string) (*Command, []string) {
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
func (r *Registry) Visible(role Role) []*Command {
	var list []*Command
	for _, c := range r.list {
		if r.shows(role, c) {
			list = append(list, c)
		}
	}
	return list
}

// shows reports whether a user of that role may know of c.
func (r *Registry) shows(role Role, c *Command) bool { return role.may(c.Role) && r.limits.shows(c) }

// Secret reports whether line is a command whose words are not to be kept, or
// would be if it could be parsed.
func (r *Registry) Secret(line string) bool {
	words, err := Parse(line)
	if err != nil {
		words = strings.Fields(line)
	}
	if len(words) == 0 {
		return false
	}
	expanded, err := r.expand(words, Admin)
	if err != nil { // to who may run less it may be one of them alone
		return slices.ContainsFunc(r.list, func(c *Command) bool { return c.Secret && strings.HasPrefix(c.Name, words[0]) })
	}
	words = expanded
	c, _ := r.Lookup(words)
	return c != nil && c.Secret
}

// Redact returns words as they may be kept: of a command that is secret, its
// name alone.
func (r *Registry) Redact(words []string) []string {
	if c, _ := r.Lookup(words); c != nil && c.Secret {
		return strings.Fields(c.Name)
	}
	return words
}
