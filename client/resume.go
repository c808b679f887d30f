package client

import (
	"fmt"
	"slices"
	"strings"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/commandline"
)

// progress is the state of the running command.
type progress struct {
	line  string // empty: no command runs
	place string // the last place in its output
	job   string // the job that it follows
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

// resume returns the command that goes on where the running one broke; empty if
// that one may have changed something or is over.
func (p *progress) resume() string {
	words, err := commandline.Parse(p.line)
	if err != nil || len(words) == 0 {
		return ""
	}
	switch {
	case p.place == "" && len(words) > 2 && words[0] == "job" && words[1] == "follow":
		return p.line // with its own --after
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
	words = append(without(words, "--after", "--lines"), "--lines=10000") // all that was missed
	return Words(append(words, p.behind()...))
}

func (p *progress) behind() []string {
	if p.place == "" {
		return nil
	}
	return []string{"--after=" + p.place}
}

// follows reports whether the words say --follow. With --for the command ends
// after a while, and the time left is unknown here.
func follows(words []string) bool {
	return slices.Contains(words, "--follow") || slices.Contains(words, "--follow=true")
}

// without removes flags with their values.
func without(words []string, flags ...string) (kept []string) {
	for i := 0; i < len(words); i++ {
		name, _, whole := strings.Cut(words[i], "=")
		switch drop := slices.Contains(flags, name); {
		case drop && !whole:
			i++
		case !drop:
			kept = append(kept, words[i])
		}
	}
	return kept
}

// LostError says that the connection of a command broke and the command could not
// be resumed: its outcome is unknown.
type LostError struct {
	Message string
	Hint    string // a command that finds out; empty: none
	Err     error  // why there was no other connection; nil: the client did not try
}

func (e *LostError) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

func (e *LostError) Unwrap() []error { return []error{ErrLost, e.Err} }

// lost returns the error of the running command; err is why there is no other
// connection.
func (p *progress) lost(err error) error {
	if err == ErrLost { // the client did not try
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

// orLost returns the error of a session that cannot go on because of err.
func (p *progress) orLost(err error) error {
	if p.line == "" {
		return err
	}
	return p.lost(err)
}

// unknown tells a person that the outcome of a command is unknown.
func (p *progress) unknown() string {
	return fmt.Sprintf("It is not known whether %q was done. It is not repeated. See: job list", commands.Safe(p.line))
}
