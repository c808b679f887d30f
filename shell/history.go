package shell

import (
	"slices"
	"strings"
	"sync"
)

const maxHistory = 100

// histories are the lines that each user typed, in this process's memory.
type histories struct {
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
		h.byUser[user] = &history{}
	}
	return h.byUser[user]
}

// history is the lines of one user, whose sessions share it. It is a
// term.History that the terminal reads; what is worth keeping only the
// session knows, so it adds.
type history struct {
	mu    sync.Mutex // protects lines
	lines []string   // oldest first
}

// keep adds a line unless it is empty, begins with a space or repeats the
// last one.
func (h *history) keep(line string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if strings.TrimSpace(line) == "" || line[0] == ' ' {
		return
	}
	if n := len(h.lines); n > 0 && h.lines[n-1] == line {
		return
	}
	if len(h.lines) == maxHistory {
		h.lines = slices.Delete(h.lines, 0, 1)
	}
	h.lines = append(h.lines, line)
}

func (h *history) list() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.lines)
}

// Add is called by the terminal for every line and drops it.
func (h *history) Add(string) {}

// Len is the number of lines.
func (h *history) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.lines)
}

// At returns a line, 0 the newest. Another session may have changed the list
// since Len, so no index panics.
func (h *history) At(i int) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i < 0 || i >= len(h.lines) {
		return ""
	}
	return h.lines[len(h.lines)-1-i]
}

// noHistory is what a question has.
type noHistory struct{}

func (noHistory) Add(string)    {}
func (noHistory) Len() int      { return 0 }
func (noHistory) At(int) string { return "" }
