package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile puts data at path with exactly this mode, whatever the umask is:
// temporary file in the same directory, fsync, rename, fsync of the directory.
// A symbolic link at path stays and its target is replaced.
func WriteFile(path string, data []byte, mode os.FileMode) error {
	path, err := target(path)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return install(path, data, mode, os.Rename)
}

// CreateFile is [WriteFile] for a file that must not exist yet: of any number
// of processes that try, one succeeds and the others get an error that is
// [fs.ErrExist].
func CreateFile(path string, data []byte, mode os.FileMode) error {
	return install(path, data, mode, func(temp, path string) error {
		// link(2) refuses to replace, rename(2) does not.
		if err := os.Link(temp, path); err != nil {
			return err
		}
		return os.Remove(temp)
	})
}

// target is what path leads to when it is a symbolic link, else path.
func target(path string) (string, error) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return path, nil // what else is wrong shows when it is written
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return path, fmt.Errorf("follow the symbolic link: %w", plain(err))
	}
	return real, nil
}

func install(path string, data []byte, mode os.FileMode, place func(temp, path string) error) error {
	dir := filepath.Dir(path)
	temp, err := writeTemp(path, data, mode)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, plain(err))
	}
	if err := place(temp, path); err != nil {
		return fmt.Errorf("write %s: %w", path, errors.Join(plain(err), remove(temp)))
	}
	if err := syncDir(dir); err != nil {
		return fmt.Errorf("write %s: sync directory: %w", path, plain(err))
	}
	return nil
}

// writeTemp returns the name of a file beside path that holds data on disk.
func writeTemp(path string, data []byte, mode os.FileMode) (string, error) {
	dir, base := filepath.Split(path)
	f, err := os.CreateTemp(filepath.Clean(dir+"."), temporary(base)) // 0600
	if err != nil {
		return "", err
	}
	if err := fill(f, path, data, mode); err != nil {
		return "", errors.Join(err, f.Close(), remove(f.Name()))
	}
	if err := f.Close(); err != nil {
		return "", errors.Join(err, remove(f.Name()))
	}
	return f.Name(), nil
}

// temporary is the pattern of the names of temporary files.
func temporary(base string) string { return "." + base + ".tmp-*" }

// Sweep removes the temporary files of earlier writers of path that were killed.
// It is for who alone writes it: the file of one who is writing would go, too.
func Sweep(path string) error {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(filepath.Clean(dir + "."))
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if ok, err := filepath.Match(temporary(base), e.Name()); ok && err == nil && e.Type().IsRegular() {
			errs = append(errs, remove(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// heir is whose owner a new file at path gets.
func heir(path string) string {
	if _, err := os.Stat(path); err == nil {
		return path
	}
	return filepath.Dir(path)
}

func fill(f *os.File, path string, data []byte, mode os.FileMode) error {
	if err := giveTo(f, heir(path)); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

// syncDir makes a rename in dir last. Without it a crash may bring the old name
// back (fsync(2), NOTES).
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Remove removes the file at path, which may be gone already, for good.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// remove takes away a temporary file, which may be gone already.
func remove(temp string) error {
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove temporary file: %w", err)
	}
	return nil
}

// plain takes the name of a temporary file out of an error, for it says nothing
// to whoever reads it.
func plain(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	if l, ok := errors.AsType[*os.LinkError](err); ok {
		return l.Err
	}
	return err
}
