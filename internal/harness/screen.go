package harness

import (
	"context"
	"fmt"
	"regexp"
	"sync"
)

// Screen is what a program has shown, for a test that waits for more.
type Screen struct {
	mu   sync.Mutex
	all  []byte
	seen int           // so much of it has been waited for
	more chan struct{} // closed when something is added
}

// NewScreen returns an empty one.
func NewScreen() *Screen { return &Screen{more: make(chan struct{})} }

// Write implements [io.Writer].
func (s *Screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, p...)
	close(s.more)
	s.more = make(chan struct{})
	return len(p), nil
}

// All is all that was shown.
func (s *Screen) All() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[:len(s.all):len(s.all)]
}

// Forget lets the next look begin with what comes from now on.
func (s *Screen) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = len(s.all)
}

// Find looks for re in what has come since the last look, and goes on behind it.
func (s *Screen) Find(re *regexp.Regexp) (text string, found bool) {
	text, found, _ = s.find(re)
	return text, found
}

func (s *Screen) find(re *regexp.Regexp) (text string, found bool, more <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := s.all[s.seen:]
	at := re.FindIndex(rest)
	if at == nil {
		return string(rest), false, s.more
	}
	s.seen += at[1]
	return string(rest[at[0]:at[1]]), true, nil
}

// See waits until something that matches is shown after what was seen last, and
// returns it.
func (s *Screen) See(ctx context.Context, re *regexp.Regexp) (string, error) {
	for {
		text, found, more := s.find(re)
		if found {
			return text, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			if text, found := s.Find(re); found { // in the same instant
				return text, nil
			}
			return "", fmt.Errorf("%q is not shown, but %q: %w", re, text, ctx.Err())
		}
	}
}
