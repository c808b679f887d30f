package commandline

import (
	"fmt"
	"slices"
	"strings"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/typeset"
)

// Limits narrow what a user may run below what the role allows. They never widen
// it. The zero Limits narrow nothing.
//
// A pattern is compared, word by word, with a command's name and its arguments
// as they are after parsing: quotes are gone, and the flags of a command that
// declares them are no arguments. In a pattern a * inside a word stands for any
// letters, a * alone for any words, also none.
type Limits struct {
	allow, deny [][]string
}

// ParseLimits makes limits of patterns. If allow is not empty, a command with its
// arguments must match one of its patterns as a whole: "worker info" allows no
// argument, "worker info *" any. A command that begins with a pattern of deny is
// refused, even if it is allowed: "worker" denies all commands that begin so.
// What a session needs (help, whoami, version, exit, quit, clear, history) need
// not be in allow.
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

// basics are the built-in commands that allow need not name.
var basics = []string{"help", "?", "whoami", "version", "exit", ".exit", "quit", "clear", "history"}

// Limit returns the registry as one user has it: the same commands, of which the
// user may run and is shown no more than l allows.
func (r *Registry) Limit(l Limits) *Registry {
	limited := *r
	limited.limits = l
	return &limited
}

func (l Limits) none() bool { return len(l.allow) == 0 && len(l.deny) == 0 }

// mayShow reports whether the limits leave arguments with which c may be run.
func (r *Registry) mayShow(c *commands.Command) bool {
	return r.within(c, strings.Fields(c.Name), mayGoOn)
}

// mayRun reports whether the limits let c be run with args.
func (r *Registry) mayRun(c *commands.Command, args []string) bool {
	return r.within(c, append(strings.Fields(c.Name), args...), whole)
}

// within reports whether the words match an allowed pattern as far as how says,
// and no denied one.
func (r *Registry) within(c *commands.Command, words []string, how extent) bool {
	fits := func(patterns [][]string, how extent) bool {
		return slices.ContainsFunc(patterns, func(p []string) bool { return matchWords(p, words, how) })
	}
	always := len(r.limits.allow) == 0 || r.builtin[c] && slices.Contains(basics, c.Name)
	return (always || fits(r.limits.allow, how)) && !fits(r.limits.deny, prefix)
}

func outside(words []string) error {
	return &control.Error{
		Code:    control.ErrDenied.Code,
		Message: fmt.Sprintf("denied: %s is not one of the commands that you may run", typeset.Clip(strings.Join(words, " "), maxGuess)),
		Hint:    "help",
	}
}

// extent is how far words and a pattern must go together.
type extent int

const (
	whole   extent = iota // both to their end
	prefix                // the pattern to its end; the words may go on
	mayGoOn               // the words to their end; the pattern may go on
)

// matchWords compares a pattern with words. It keeps all positions in the pattern
// that may match, so its time is bounded by the product of the lengths.
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
