package client

import (
	"fmt"
	"slices"
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
	case p.place == "" && len(words) > 2 && words[0] == "job" && words[1] == "follow":
		return p.line // it says where
	case p.job != "":
		again := append([]string{"job", "follow", p.job}, p.behind()...)
		if slices.Contains(words, "--json") {
			again = append(again, "--json")
		}
		return Words(again)
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

// LostError is a command whose connection broke and that could not be taken up
// again: what became of it is not known.
type LostError struct {
	Message string
	Hint    string // a command that tells; empty: Message says it, or there is nothing to tell
	Err     error  // why there was no other connection; nil: none was tried
}

func (e *LostError) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

func (e *LostError) Unwrap() []error { return []error{ErrLost, e.Err} }

// lost is the error of the command in hand when there is no other connection,
// for the reason err.
func (p *progress) lost(err error) error {
	if err == ErrLost { // none was tried
		err = nil
	}
	switch {
	case p.job != "":
		job := commands.Safe(p.job)
		return &LostError{Message: fmt.Sprintf("connection lost: how job %s ends is not known", job), Hint: "job follow " + job, Err: err}
	case p.resume() != "":
		return &LostError{Message: ErrLost.Error(), Err: err}
	}
	return &LostError{Message: "connection lost: whether the command was done is not known", Hint: "job list", Err: err}
}

// orLost is the error of a session that cannot go on for the reason err.
func (p *progress) orLost(err error) error {
	if p.line == "" {
		return err
	}
	return p.lost(err)
}

// unknown tells a person that nobody knows what became of a command.
func (p *progress) unknown() string {
	return fmt.Sprintf("It is not known whether %q was done. It is not repeated. See: job list", commands.Safe(p.line))
}
