package dirs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Dirs are the directories of one cluster, as absolute paths.
type Dirs struct {
	Run   string // sockets
	State string // lock, keys, users, audit
}

// Modes of the directories.
const (
	stateMode = 0o700
	runMode   = 0o711
	// passMode lets the users of pools reach the run directory of their cluster,
	// but not list it.
	passMode = 0o711
)

// For returns the directories in which the cluster called name starts, and
// makes missing ones. If dir is not empty, it is both.
func For(name, dir string) (Dirs, error) { return system().prepare(name, dir) }

// Find returns the directories of a cluster that has been started or prepared
// before: dir if it is not empty, else the one called name, else the only one
// there is. It makes none.
func Find(name, dir string) (Dirs, error) { return system().find(name, dir) }

// Of returns the directories that [For] would prepare, whether they are there or
// not.
func Of(name, dir string) (Dirs, error) {
	if dir == "" {
		return system().of(name)
	}
	dir, err := filepath.Abs(dir)
	return Dirs{Run: dir, State: dir}, err
}

// All returns the directories of the clusters of this user that have a name. It
// makes none.
func All() ([]Dirs, error) { return system().all() }

func (p places) all() ([]Dirs, error) {
	names, err := p.names()
	if err != nil {
		return nil, err
	}
	all := make([]Dirs, len(names))
	for i, name := range names {
		if all[i], err = p.of(name); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (p places) prepare(name, dir string) (Dirs, error) {
	if dir != "" {
		return prepareOwn(dir)
	}
	if err := CheckName(name); err != nil {
		return Dirs{}, err
	}
	d, err := p.of(name)
	if err != nil {
		return Dirs{}, err
	}
	if err := prepare(d.State, stateMode); err != nil {
		return Dirs{}, fmt.Errorf("state directory: %w", err)
	}
	if err := makePlace(p.run); err != nil {
		return Dirs{}, fmt.Errorf("run directory: %w", err)
	}
	if err := prepare(d.Run, runMode); err != nil {
		return Dirs{}, fmt.Errorf("run directory: %w", err)
	}
	return d, nil
}

func prepareOwn(dir string) (Dirs, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Dirs{}, err
	}
	if err := prepare(dir, stateMode); err != nil {
		return Dirs{}, fmt.Errorf("directory: %w", err)
	}
	return Dirs{Run: dir, State: dir}, nil
}

// makePlace makes the parent directory of all clusters, independent of the umask.
// It leaves an existing one as it is.
func makePlace(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	err := Make(dir, passMode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// Make makes one directory with this mode, independent of the umask, and
// changes no other directory that takes its place meanwhile.
func Make(dir string, mode fs.FileMode) error {
	above, err := os.OpenRoot(filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer above.Close()
	if err := above.Mkdir(filepath.Base(dir), 0o700); err != nil {
		return err
	}
	return above.Chmod(filepath.Base(dir), mode)
}

// prepare makes dir with this mode, independent of the umask, or checks that an
// existing one gives no more permissions.
func prepare(dir string, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := Make(dir, mode); !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s: not a directory", dir)
	case info.Mode().Perm()&^mode != 0:
		return fmt.Errorf("%s: mode %04o, must be %04o: chmod %o %s", dir, info.Mode().Perm(), mode, mode, dir)
	}
	return checkOwner(dir, info)
}

func (p places) find(name, dir string) (Dirs, error) {
	if dir != "" {
		return findOwn(dir)
	}
	if name == "" {
		only, err := p.only()
		if err != nil {
			return Dirs{}, err
		}
		name = only
	}
	if err := CheckName(name); err != nil {
		return Dirs{}, err
	}
	d, err := p.of(name)
	if err != nil {
		return Dirs{}, err
	}
	if _, err := os.Stat(d.State); errors.Is(err, fs.ErrNotExist) {
		return Dirs{}, fmt.Errorf("no cluster %s: there is no %s%s", name, d.State, p.known())
	} else if err != nil {
		return Dirs{}, err
	}
	return d, nil
}

func findOwn(dir string) (Dirs, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Dirs{}, err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return Dirs{}, fmt.Errorf("directory: %w", err)
	}
	if !info.IsDir() {
		return Dirs{}, fmt.Errorf("directory: %s: not a directory", dir)
	}
	return Dirs{Run: dir, State: dir}, nil
}

// only returns the name of the only cluster.
func (p places) only() (string, error) {
	names, err := p.names()
	switch {
	case err != nil:
		return "", err
	case len(names) == 0:
		return "", fmt.Errorf("no cluster in %s: name its directory with --dir DIR", p.state)
	case len(names) > 1:
		return "", fmt.Errorf("there are several clusters, name one with --name: %s", strings.Join(names, ", "))
	}
	return names[0], nil
}

func (p places) names() ([]string, error) {
	if p.state == "" {
		_, err := p.of("")
		return nil, err
	}
	entries, err := os.ReadDir(p.state)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		return !e.IsDir() || CheckName(e.Name()) != nil
	})
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

// known is the end of the error about an unknown name: the names of the clusters.
func (p places) known() string {
	names, err := p.names()
	if err != nil || len(names) == 0 {
		return ""
	}
	return "; there are: " + strings.Join(names, ", ")
}
