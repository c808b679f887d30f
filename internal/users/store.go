package users

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/norestart/norestart/internal/durable"
)

// Store holds the users and follows the file when it changes. Its methods may
// be called from any goroutine; only Reload waits for the disk.
type Store struct {
	files   durable.Files
	path    string
	check   CheckKey
	current atomic.Pointer[content] // replaced as a whole, never changed

	mu    sync.Mutex  // one reload at a time; guards the fields below
	seen  fs.FileInfo // of the file that was last accepted or refused; nil: there was no file
	fault string      // why the file could not be read; empty: it was read
}

type content struct {
	users   map[string]User
	ca      CA
	dummies []string
}

// Open reads the file at path. Without a file there are no users; a file that
// is broken, readable by others or owned by somebody else is an error.
func Open(files durable.Files, path string, check CheckKey) (*Store, error) {
	s := &Store{files: files, path: path, check: check}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Store) Lookup(name string) (User, bool) {
	u, ok := s.current.Load().users[name]
	return u.clone(), ok
}

// CA returns the authorities whose certificates are believed.
func (s *Store) CA() CA { return s.current.Load().ca.clone() }

// Dummies returns one [Dummy] for each kind and cost among the users' hashes.
func (s *Store) Dummies() []string { return s.current.Load().dummies }

// Reload reads the file again if it has changed, and reports whether the users
// have changed. A file that is refused leaves the users as they are; its error
// is returned once, and again only when the file changes. Reload is cheap enough
// to be called before each login.
func (s *Store) Reload() (changed bool, err error) {
	info, err := s.stat() // without the lock: the files may be out of reach for seconds
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(err, durable.ErrAway) {
		return false, nil
	}
	if err != nil {
		return false, s.once(err)
	}
	if s.fault == "" && durable.Same(s.seen, info) {
		return false, nil
	}
	old := s.current.Load()
	if err := s.load(); errors.Is(err, durable.ErrAway) {
		return false, nil
	} else if err != nil {
		return false, s.refuse(info, err)
	}
	now := s.current.Load()
	return !maps.EqualFunc(old.users, now.users, equal) || !old.ca.equal(now.ca), nil
}

func (s *Store) load() error {
	f, info, err := read(s.files, s.path, s.check)
	if err != nil {
		return err
	}
	s.current.Store(&content{f.users, f.ca, dummiesOf(f.users)})
	s.seen, s.fault = info, ""
	return nil
}

func dummiesOf(users map[string]User) []string {
	kinds := map[string]bool{}
	for _, u := range users {
		if u.Password != "" {
			kinds[Dummy(u.Password)] = true
		}
	}
	return slices.Sorted(maps.Keys(kinds))
}

// refuse remembers the file as refused, so that it is read again only when it
// changes. A file that could not be opened (as without a free descriptor) is
// tried again.
func (s *Store) refuse(info fs.FileInfo, err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return s.once(err)
	}
	s.seen, s.fault = info, ""
	return err
}

// stat returns nil if there is no file.
func (s *Store) stat() (fs.FileInfo, error) {
	info, err := s.files.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return info, err
}

// once returns err unless it says the same as the last one.
func (s *Store) once(err error) error {
	if s.fault == err.Error() {
		return nil
	}
	s.fault = err.Error()
	return err
}
