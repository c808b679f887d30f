package users

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/norestart/norestart/internal/durable"
)

// Store answers who may log in, and follows the file when it changes. Its
// methods may be called from any goroutine; those that answer never wait for
// the disk.
type Store struct {
	files   durable.Files
	path    string
	base    map[string]User
	check   CheckKey
	current atomic.Pointer[content] // never changed, only replaced

	mu    sync.Mutex  // one reload at a time; guards what is below
	seen  fs.FileInfo // of the file that was read last, even if refused; nil: there was none
	fault string      // why the file could not be read, empty if it could
}

// content is what the file says, with the users of the application.
type content struct {
	users map[string]User
	ca    CA
}

// Open reads the file at path. The users of base are there without it; one of
// the same name in the file replaces that of base. A missing file is none of
// these errors: a broken, readable or foreign one is.
func Open(path string, base map[string]User, check CheckKey) (*Store, error) {
	return OpenFrom(durable.Disk{}, path, base, check)
}

// OpenFrom is [Open] for a process that has its files from elsewhere.
func OpenFrom(files durable.Files, path string, base map[string]User, check CheckKey) (*Store, error) {
	s := &Store{files: files, path: path, base: make(map[string]User, len(base)), check: check}
	for name, u := range base {
		u.Name = name
		if err := u.validate(check); err != nil {
			return nil, fmt.Errorf("users of the application: %w", err)
		}
		s.base[name] = u.clone()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return nil, err
	}
	return s, nil
}

// Lookup tells about one user.
func (s *Store) Lookup(name string) (User, bool) {
	u, ok := s.current.Load().users[name]
	return u.clone(), ok
}

// CA tells whose certificates are believed.
func (s *Store) CA() CA { return s.current.Load().ca.clone() }

// Names lists the names of the users, sorted.
func (s *Store) Names() []string {
	return slices.Sorted(maps.Keys(s.current.Load().users))
}

// Reload reads the file again if it is another than before, and reports
// whether the users are others now. A file that is refused leaves the users as
// they are, and its error is returned once, not again until it changes. It is
// cheap enough to be called before each login.
func (s *Store) Reload() (changed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, err := s.stat()
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

// load reads the file and takes its users.
func (s *Store) load() error {
	f, info, err := read(s.files, s.path, s.check)
	if err != nil {
		return err
	}
	users := maps.Clone(s.base)
	maps.Copy(users, f.users)
	s.current.Store(&content{users, f.ca})
	s.seen, s.fault = info, ""
	return nil
}

// refuse remembers the file as refused, so that it is not read again until it
// changes; one that could not be read (no descriptor left) is tried again.
func (s *Store) refuse(info fs.FileInfo, err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return s.once(err)
	}
	s.seen, s.fault = info, ""
	return err
}

// stat looks at the file; nil when there is none.
func (s *Store) stat() (fs.FileInfo, error) {
	info, err := s.files.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return info, err
}

// once returns err unless it is the one that was returned last.
func (s *Store) once(err error) error {
	if s.fault == err.Error() {
		return nil
	}
	s.fault = err.Error()
	return err
}
