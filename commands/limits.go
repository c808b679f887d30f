package commands

import (
	"fmt"
	"slices"
	"strings"

	"github.com/norestart/norestart/control"
)

// Limits narrow what a user may run of that which his role lets him. They never
// widen it. The zero Limits narrow nothing.
//
// A pattern is compared, word by word, with a command's name and its arguments
// as they are after parsing: quotes are gone, and the flags of a command that
// declares them are no arguments. In a pattern a * inside a word stands for any
// letters, a * alone for any words, also none.
type Limits struct {
	allow, deny [][]string
}

// ParseLimits makes limits of patterns. When allow is not empty, a command with
// its arguments must be one of its patterns as a whole: "worker info" allows no
// argument, "worker info *" any. What begins like a pattern of deny is refused:
// "worker" denies all commands that begin so, and deny wins. What a session
// needs (help, whoami, version, exit, history) need not be in allow.
func ParseLimits(allow, deny []string) Limits {
	return Limits{allow: splitAll(allow), deny: splitAll(deny)}
}

func splitAll(patterns []string) [][]string {
	var list [][]string
	for _, p := range patterns {
		list = append(list, strings.Fields(p))
	}
	return list
}

// always are the commands that allow need not name. An application cannot
// register others by these names.
var always = []string{"help", "?", "whoami", "version", "exit", ".exit", "history"}

// Limit returns the registry as one user has it: the same commands, of which he
// may run, and is shown, no more than l lets him.
func (r *Registry) Limit(l Limits) *Registry {
	limited := *r
	limited.limits = l
	return &limited
}

// shows reports whether there are arguments with which c may be run.
func (l Limits) shows(c *Command) bool {
	words := strings.Fields(c.Name)
	if l.denies(words) {
		return false
	}
	return len(l.allow) == 0 || slices.Contains(always, c.Name) ||
		slices.ContainsFunc(l.allow, func(p []string) bool { return matchWords(p, words, mayGoOn) })
}

// check reports why c may not be run with args, the words after its name. Help
// on c is there for whoever may run it in some way.
func (l Limits) check(c *Command, args []string, help bool) error {
	if len(l.allow) == 0 && len(l.deny) == 0 || help && l.shows(c) {
		return nil
	}
	args, err := c.positional(args)
	if err != nil {
		return err
	}
	words := append(strings.Fields(c.Name), args...)
	allowed := len(l.allow) == 0 || slices.Contains(always, c.Name) ||
		slices.ContainsFunc(l.allow, func(p []string) bool { return matchWords(p, words, whole) })
	if allowed && !l.denies(words) {
		return nil
	}
	return outside(words)
}

// outside is the error for a command that the limits do not let through.
func outside(words []string) *Error {
	return &Error{
		Status: StatusDenied, Code: control.ErrDenied.Code,
		Message: fmt.Sprintf("denied: %s is not among what you may run", clip(strings.Join(words, " "), maxGuess)),
		Hint:    "help",
	}
}

func (l Limits) denies(words []string) bool {
	return slices.ContainsFunc(l.deny, func(p []string) bool { return matchWords(p, words, prefix) })
}

// positional are the arguments without the flags, where c declares flags. An
// application's Flags may panic: that is told as any other failure.
func (c *Command) positional(args []string) (words []string, err error) {
	if c.Flags == nil {
		return args, nil
	}
	defer func() {
		if recover() != nil {
			words, err = nil, &Error{Code: control.ErrInternal.Code, Message: c.Name + ": internal error"}
		}
	}()
	call := Call{Args: append([]string{c.Name}, args...)}
	if err := call.parseFlags(c.Flags); err != nil {
		return nil, err
	}
	return call.Args[1:], nil
}

// extent is how far words and a pattern must go together.
type extent int

const (
	whole   extent = iota // both to their end
	prefix                // the pattern to its end
	mayGoOn               // the words to their end: with more words it could match
)

// matchWords compares a pattern with words. It keeps all the places in the
// pattern where it may be, so that its time is bounded by the product of the
// lengths.
func matchWords(pattern, words []string, how extent) bool {
	at := newPlaces(pattern)
	at.add(0)
	for _, word := range words {
		if how == prefix && at.reached[len(pattern)] {
			return true
		}
		next := newPlaces(pattern)
		for i, p := range pattern {
			switch {
			case !at.reached[i]:
			case p == "*":
				next.add(i)
			case matchWord(p, word):
				next.add(i + 1)
			}
		}
		at = next
	}
	return at.reached[len(pattern)] || how == mayGoOn && slices.Contains(at.reached, true)
}

// places are positions in a pattern.
type places struct {
	pattern []string
	reached []bool
}

func newPlaces(pattern []string) places { return places{pattern, make([]bool, len(pattern)+1)} }

// add takes position i, and those behind it that need no word.
func (p places) add(i int) {
	p.reached[i] = true
	for i < len(p.pattern) && p.pattern[i] == "*" {
		i++
		p.reached[i] = true
	}
}

// matchWord compares a word with a pattern in which * stands for any letters.
func matchWord(pattern, word string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == word
	}
	first, last := parts[0], parts[len(parts)-1]
	if len(word) < len(first)+len(last) || !strings.HasPrefix(word, first) || !strings.HasSuffix(word, last) {
		return false
	}
	word = word[len(first) : len(word)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		_, rest, found := strings.Cut(word, part)
		if !found {
			return false
		}
		word = rest
	}
	return true
}
