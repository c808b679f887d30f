package adminport

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/norestart/norestart/internal/durable"
	"github.com/norestart/norestart/internal/users"
)

const (
	maxHistory     = 500
	maxQuery       = 200      // runes that are searched for
	maxHistoryFile = 16 << 20 // bytes of a file of history that are read
	// lookWithin bounds completion and explanation of a line; the words that a
	// cluster or application is asked for take at most 200 ms of it.
	lookWithin = time.Second
)

// histories are the lines that each user typed. With a directory they outlive the
// process and are shared with the other processes of the pool.
type histories struct {
	dir      string
	complain func(format string, args ...any)

	mu     sync.Mutex // protects byUser
	byUser map[string]*history
}

func (h *histories) of(user string) *history {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.byUser == nil {
		h.byUser = map[string]*history{}
	}
	if h.byUser[user] == nil {
		h.byUser[user] = &history{complain: h.complain}
		if h.dir != "" {
			h.byUser[user].file = users.HistoryFile(h.dir, user)
		}
	}
	return h.byUser[user]
}

// history is the lines of one user, whose sessions share it.
type history struct {
	file     string // empty: in memory only
	complain func(format string, args ...any)

	mu    sync.Mutex // protects what follows
	lines []string   // oldest first
	seen  fs.FileInfo
	told  bool // that the file cannot be used
}

// keep adds a line unless it is empty, begins with a space or repeats the last
// one.
func (h *history) keep(line string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	line = strings.ReplaceAll(line, "\t", " ")
	if strings.TrimSpace(line) == "" || line[0] == ' ' || strings.ContainsAny(line, "\n\r") {
		return
	}
	if h.file == "" {
		h.add(line)
	} else if err := h.store(line); err != nil {
		h.doubt(err)
		h.add(line)
	}
}

func (h *history) add(line string) {
	if !h.repeats(line) {
		h.lines = append(h.lines, line)
		h.lines = slices.Delete(h.lines, 0, max(0, len(h.lines)-maxHistory))
	}
}

func (h *history) repeats(line string) bool {
	return len(h.lines) > 0 && h.lines[len(h.lines)-1] == line
}

func (h *history) list() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.doubt(h.refresh())
	return slices.Clone(h.lines)
}

// doubt reports once that the history will not outlive the process.
func (h *history) doubt(err error) {
	if err == nil || h.told {
		return
	}
	h.told = true
	h.complain("history: %v", err)
}

// refresh reads the file if it has changed. If it is gone, so are its lines: they
// may be those of a former user of that name.
func (h *history) refresh() error {
	if h.file == "" {
		return nil
	}
	info, err := os.Stat(h.file)
	if errors.Is(err, fs.ErrNotExist) && h.seen != nil {
		h.lines, h.seen = nil, nil
	}
	if err != nil || h.seen != nil && os.SameFile(info, h.seen) && info.Size() == h.seen.Size() && info.ModTime().Equal(h.seen.ModTime()) {
		return nil // none yet, or the one that was read
	}
	lines, err := readHistory(h.file)
	if err != nil {
		return err
	}
	h.lines, h.seen = lines, info
	return nil
}

func readHistory(file string) ([]string, error) {
	if err := durable.CheckSecret(file); err != nil {
		return nil, err
	}
	if info, err := os.Stat(file); err != nil || info.Size() > maxHistoryFile {
		return nil, errors.Join(err, fmt.Errorf("%s is larger than %d bytes", file, maxHistoryFile))
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	lines := strings.FieldsFunc(strings.ToValidUTF8(string(text), ""), func(r rune) bool { return r == '\n' })
	return lines[max(0, len(lines)-maxHistory):], nil
}

// store appends a line to the file, and rewrites the file when it is twice as
// long as it should be. A lock keeps other processes out.
func (h *history) store(line string) error {
	if err := os.Mkdir(filepath.Dir(h.file), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	lock, err := users.LockHistory(filepath.Dir(h.file))
	if err != nil {
		return err
	}
	defer lock.Release()
	if err := h.refresh(); err != nil || h.repeats(line) {
		return err
	}
	if err := appendLine(h.file, line); err != nil {
		return err
	}
	h.add(line)
	if h.seen, err = os.Stat(h.file); err != nil {
		return err
	}
	whole := strings.Join(h.lines, "\n") + "\n"
	if h.seen.Size() < int64(2*len(whole)+4096) {
		return nil
	}
	return durable.WriteFile(h.file, []byte(whole), 0o600)
}

func appendLine(file, line string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Close())
}

func (s *session) remember(line string) {
	if !s.srv.registry.Secret(line) {
		s.srv.history.of(s.who.name).keep(line)
	}
}

type noHistory struct{}

func (noHistory) Add(string)    {}
func (noHistory) Len() int      { return 0 }
func (noHistory) At(int) string { return "" }
