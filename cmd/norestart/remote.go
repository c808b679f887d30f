package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/norestart/norestart/client"
	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/durable"
)

const (
	// completeWithin bounds the wait of a person for Tab.
	completeWithin = 1500 * time.Millisecond
	// completeFor is how long the answer of a server is reused.
	completeFor = 5 * time.Minute
	maxHelp     = 1 << 20
)

// remoteHelp is the part of "help --json" of an admin port that completion
// needs.
type remoteHelp struct {
	Commands []struct {
		Name, Summary string
		Flags         []struct{ Name, Usage string }
	}
}

// complete completes HOST and, with the help of the server, the words of
// COMMAND. It never asks the person, and prints only completions.
func (l *login) complete(std streams) func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return func(_ *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		quiet := *l
		quiet.batch = true
		help, err := quiet.help(streams{in: std.in, out: io.Discard, err: io.Discard}, args[0])
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return help.complete(args[1:], typed), cobra.ShellCompDirectiveNoFileComp
	}
}

// complete returns the words that may come after words and begin with typed.
func (h remoteHelp) complete(words []string, typed string) (found []cobra.Completion) {
	add := func(word, summary string) {
		if strings.HasPrefix(word, typed) {
			found = append(found, cobra.CompletionWithDesc(word, printable(summary)))
		}
	}
	seen := make(map[string]bool)
	for _, c := range h.Commands {
		name := strings.Fields(c.Name)
		rest, begun := after(name, words)
		switch {
		case begun && len(rest) == 1:
			add(printable(rest[0]), c.Summary)
		case begun && len(rest) > 1:
			if !seen[rest[0]] {
				add(printable(rest[0]), "")
			}
			seen[rest[0]] = true
		case begun || len(words) > len(name) && strings.HasPrefix(strings.Join(words, " "), c.Name+" "):
			for _, f := range c.Flags {
				add("--"+printable(f.Name), f.Usage)
			}
			if strings.HasPrefix(typed, "-") {
				add("--json", "one object, for programs")
			}
		}
	}
	return found
}

// after returns the part of name after words, if it begins with them.
func after(name, words []string) (rest []string, ok bool) {
	if len(words) > len(name) {
		return nil, false
	}
	for i, word := range words {
		if name[i] != word {
			return nil, false
		}
	}
	return name[len(words):], true
}

// printable keeps a server from sending escape sequences to the terminal at Tab.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return -1
		}
		return r
	}, text)
}

// help asks the server, or reuses its last answer.
func (l *login) help(std streams, host string) (h remoteHelp, err error) {
	s, err := l.ssh(std, client.NewInput(std.in), host)
	if err != nil {
		return h, err
	}
	cache := cached(s)
	if text, err := recent(cache); err == nil && json.Unmarshal(text, &h) == nil {
		return h, nil
	}
	text, err := ask(s)
	if err != nil {
		return h, err
	}
	if err := json.Unmarshal(text, &h); err != nil {
		return h, err
	}
	if cache != "" && os.MkdirAll(filepath.Dir(cache), 0o700) == nil {
		_ = durable.WriteFile(cache, text, 0o600) // the next Tab asks again
	}
	return h, nil
}

// cached names the file with a server's answer to a user; empty: there is none.
func cached(s *client.SSH) string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte(s.Target.String() + "\x00" + s.KnownHosts + "\x00" + strings.Join(s.Identities, "\x00")))
	return filepath.Join(dir, "norestart", "help-"+hex.EncodeToString(sum[:8])+".json")
}

func recent(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if time.Since(info.ModTime()) > completeFor {
		return nil, os.ErrDeadlineExceeded
	}
	return os.ReadFile(file)
}

func ask(s *client.SSH) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), completeWithin)
	defer cancel()
	conn, err := s.Dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var out limited
	status, err := conn.Exec(ctx, "help --json", client.Streams{Out: &out, Err: io.Discard})
	if err == nil && status != commands.StatusOK {
		err = errors.New("no help")
	}
	return out.text.Bytes(), err
}

// limited is a buffer with a bound, the most that a help may need.
type limited struct{ text bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.text.Len()+len(p) > maxHelp {
		return 0, bytes.ErrTooLarge
	}
	return l.text.Write(p)
}
