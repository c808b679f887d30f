package client

import (
	"fmt"
	"strings"

	"github.com/norestart/norestart/commands"
)

// progress is what is known about the command in hand.
type progress struct {
	line  string // empty: none runs
	place string // where its output was
	job   string // that it follows
}

// take notes a mark of the server.
func (p *progress) take(w word) {
	switch w.kind {
	case markRun:
		*p = progress{line: w.value}
	case markPlace:
		p.place = w.value
	case markJob:
		p.job = w.value
	case markEnd, markPrompt:
		*p = progress{}
	}
}

// resume returns the command that goes on where the one in hand broke; empty
// when that one may have changed something, or is over.
func (p *progress) resume() string {
	words, err := commands.Parse(p.line)
	if err != nil || len(words) == 0 {
		return ""
	}
	switch {
	case p.job != "":
		return Words(append([]string{"job", "follow", p.job}, p.behind()...))
	case words[0] != "log" && words[0] != "events" || !follows(words):
		return ""
	case p.place == "":
		return p.line
	}
	words = append(without(words, "--after", "--lines"), "--lines=10000") // what was missed, whatever was asked for at first
	return Words(append(words, p.behind()...))
}

func (p *progress) behind() []string {
	if p.place == "" {
		return nil
	}
	return []string{"--after=" + p.place}
}

// follows reports whether the words say --follow. With --for the time is over
// at some point, and nobody knows how much of it is left.
func follows(words []string) bool {
	for _, word := range words {
		if word == "--follow" || word == "--follow=true" {
			return true
		}
	}
	return false
}

// without leaves flags out, with their values.
func without(words []string, flags ...string) (kept []string) {
	for i := 0; i < len(words); i++ {
		name, _, whole := strings.Cut(words[i], "=")
		drop := false
		for _, flag := range flags {
			drop = drop || name == flag
		}
		switch {
		case drop && !whole:
			i++ // its value
		case !drop:
			kept = append(kept, words[i])
		}
	}
	return kept
}

// unknown tells a person that nobody knows what became of a command.
func (p *progress) unknown() string {
	return fmt.Sprintf("It is not known whether %q was done. It is not repeated. See: job list", commands.Safe(p.line))
}
