package client

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/norestart/norestart/internal/durable"
)

// maxHistory is how many lines are kept; the file may have twice as many before
// it is cut.
const maxHistory = 1000

// secret is what a line with a secret in it looks like. It is compiled when
// somebody types: most runs of the program are over before.
var secret = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)(password|passwd|passphrase|secret|token|api-?key)[a-z-]*[=: ]+\S`)
})

// History is the lines that were typed, in a file of mode 0600.
type History struct {
	path  string
	lines []string
}

// OpenHistory reads the file; without a path nothing is kept.
func OpenHistory(path string) (*History, error) {
	h := &History{path: path}
	if path == "" {
		return h, nil
	}
	text, _, err := durable.ReadSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return h, fmt.Errorf("history: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimRight(line, "\r\n"); worth(line) {
			h.lines = append(h.lines, line)
		}
	}
	if len(h.lines) > 2*maxHistory {
		h.lines = h.lines[len(h.lines)-maxHistory:]
		err = durable.WriteFile(path, []byte(strings.Join(h.lines, "\n")+"\n"), 0o600)
	}
	return h, err
}

// Lines are those that were typed, oldest first.
func (h *History) Lines() []string { return slices.Clone(h.lines[max(0, len(h.lines)-maxHistory):]) }

// Keep adds a line unless it is not worth it: empty, the same as the last one,
// beginning with a space, or with a secret in it. A file that cannot be written
// costs the history, nothing else.
func (h *History) Keep(line string) bool {
	if !worth(line) || len(h.lines) > 0 && h.lines[len(h.lines)-1] == line {
		return false
	}
	h.lines = append(h.lines, line)
	if h.path != "" {
		_ = h.write(line)
	}
	return true
}

func worth(line string) bool {
	return strings.TrimSpace(line) != "" && line[0] != ' ' && utf8.ValidString(line) &&
		!bytes.ContainsFunc([]byte(line), func(r rune) bool { return r < ' ' && r != '\t' }) && !secret().MatchString(line)
}

// write appends in one piece, for other sessions append as well.
func (h *History) write(line string) (err error) {
	if err := os.MkdirAll(filepath.Dir(h.path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(h.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.WriteString(line + "\n")
	return err
}
