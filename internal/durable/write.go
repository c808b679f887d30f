package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile puts data at path with exactly this mode, independent of the umask:
// temporary file in the same directory, fsync, rename, fsync of the directory.
// When path is a symbolic link, its target is replaced and the link stays.
func WriteFile(path string, data []byte, mode os.FileMode) error {
	path, err := target(path)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return install(path, data, mode, os.Rename)
}

// CreateFile is [WriteFile] for a file that must not exist yet. Of several
// processes that try, one succeeds and the others get an error that is
// [fs.ErrExist].
func CreateFile(path string, data []byte, mode os.FileMode) error {
	return install(path, data, mode, func(temp, path string) error {
		// link(2) does not replace a file, rename(2) does.
		if err := os.Link(temp, path); err != nil {
			return err
		}
		return os.Remove(temp)
	})
}

// target returns the target of path if it is a symbolic link, else path.
func target(path string) (string, error) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return path, nil // another fault shows when the file is written
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

func temporary(base string) string { return "." + base + ".tmp-*" }

// Sweep removes the temporary files of killed writers of path. Call it only in
// the one process that writes path: it removes the file of a running writer,
// too.
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

// ownerFor returns the file whose owner a new file at path gets.
func ownerFor(path string) (fs.FileInfo, error) {
	if info, err := os.Lstat(path); err == nil {
		return info, nil
	}
	return os.Stat(filepath.Dir(path))
}

func fill(f *os.File, path string, data []byte, mode os.FileMode) error {
	owner, err := ownerFor(path)
	if err != nil {
		return err
	}
	if err := giveTo(f, owner); err != nil {
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

// syncDir makes a rename in dir durable. Without it a crash may bring the old
// name back (fsync(2), NOTES).
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Remove removes the file at path durably. A missing file is no error.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func remove(temp string) error {
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove temporary file: %w", err)
	}
	return nil
}

// plain removes the name of a temporary file from an error: it means nothing to
// a reader.
func plain(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	if l, ok := errors.AsType[*os.LinkError](err); ok {
		return l.Err
	}
	return err
}
