package durable

import (
	"errors"
	"io/fs"
	"sync"
	"time"
)

const (
	// lookEvery is the least time between two looks at a shared file.
	lookEvery = 50 * time.Millisecond
	// stayAway is how long files that were out of reach are not asked for
	// again.
	stayAway = time.Second
)

// Share bounds the work for files, regardless of how many peers cause looks:
// simultaneous calls for a file share one look, which begins after all of these
// calls, and there are at most 20 looks a second. While the files are out of
// reach calls fail at once.
func Share(files Files) Files { return &shared{Files: files, paths: map[string]*sharedPath{}} }

type shared struct {
	Files

	mu    sync.Mutex // protects the fields below; a leaf
	paths map[string]*sharedPath
	away  error // of the last look; nil: it succeeded
	until time.Time
}

// sharedPath is one file. Its looks do not overlap.
type sharedPath struct {
	turn chan struct{} // 1 slot: held by the look that is under way; protects last
	last time.Time     // when it ended

	next *look // has not begun, so other calls may join it; protected by shared.mu
}

type look struct {
	done chan struct{}
	info fs.FileInfo
	err  error
}

// Stat implements [Files].
func (s *shared) Stat(path string) (fs.FileInfo, error) {
	l, mine, err := s.join(path)
	switch {
	case err != nil:
		return nil, err
	case mine != nil:
		s.take(path, mine, l)
	}
	<-l.done
	return l.info, l.err
}

// join returns the next look at a file, and the file if the caller has to look.
func (s *shared) join(path string) (l *look, mine *sharedPath, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away != nil && time.Now().Before(s.until) {
		return nil, nil, s.away
	}
	p := s.paths[path]
	if p == nil {
		p = &sharedPath{turn: make(chan struct{}, 1)}
		s.paths[path] = p
	}
	if p.next != nil {
		return p.next, nil, nil
	}
	p.next = &look{done: make(chan struct{})}
	return p.next, p, nil
}

func (s *shared) take(path string, p *sharedPath, l *look) {
	defer close(l.done)
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	time.Sleep(time.Until(p.last.Add(lookEvery)))
	s.mu.Lock()
	p.next = nil
	s.mu.Unlock()
	l.info, l.err = s.Files.Stat(path)
	p.last = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = nil
	if errors.Is(l.err, ErrAway) {
		s.away, s.until = l.err, p.last.Add(stayAway)
	}
}
