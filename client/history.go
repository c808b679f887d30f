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

// maxHistory is the number of lines that are kept. The file is cut when it has
// twice as many.
const maxHistory = 1000

// secret matches a line with a secret in it. It is compiled at the first typed
// line, because most runs have none.
var secret = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)(password|passwd|passphrase|secret|token|api-?key)[a-z-]*[=: ]+\S`)
})

// History is the lines that were typed, in a file of mode 0600.
type History struct {
	path  string
	lines []string
}

// OpenHistory reads the file; without a path the history is not kept.
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

func (h *History) Lines() []string { return slices.Clone(h.lines[max(0, len(h.lines)-maxHistory):]) }

// Keep adds a line, unless it is empty, repeats the last one, begins with a space
// or contains a secret. If the file cannot be written, only the history is lost.
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

// write appends with one write(2): other sessions append as well.
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
