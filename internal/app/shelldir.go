package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/norestart/norestart/control"
)

// makeDirectory makes the directory at path for the user as, or for the owner of
// the directory above it if as is nil. If another user had the directory before,
// it changes its owner with all that is in it. Only root can give files away, and
// only root has to.
func makeDirectory(path string, as *control.Identity) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s: not a directory", path)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s: mode %04o, must be 0700: chmod 700 %s", path, info.Mode().Perm(), path)
	case os.Geteuid() != 0:
		return nil
	}
	above, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	to := ownerOf(above)
	if as != nil {
		to = owner{as.UID, as.GID}
	}
	if ownerOf(info) == to {
		return nil
	}
	return giveAway(path, to)
}

type owner struct{ uid, gid uint32 }

func ownerOf(info fs.FileInfo) owner {
	stat := info.Sys().(*syscall.Stat_t) // what os gives on Linux
	return owner{stat.Uid, stat.Gid}
}

// giveAway gives a directory and its content to another user. Its previous owner
// may be at work in it, and may have left names that lead elsewhere: those are
// removed, because the new owner would follow them.
func giveAway(path string, to owner) error {
	root, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return giveOne(root, name, to)
	})
	if err != nil {
		return fmt.Errorf("give %s away: %w", path, err)
	}
	return nil
}

// giveOne gives one name away, or removes it. It changes the opened file: the
// name may mean another one by then.
func giveOne(root *os.Root, name string, to owner) error {
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	if !hasOneName(info) {
		return root.Remove(name)
	}
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return err
	}
	if !hasOneName(info) {
		return fmt.Errorf("%s: it is being changed", name)
	}
	return f.Chown(int(to.uid), int(to.gid))
}

// hasOneName reports whether a name is a directory, or a file without another
// name.
func hasOneName(info fs.FileInfo) bool {
	return info.IsDir() || info.Mode().IsRegular() && info.Sys().(*syscall.Stat_t).Nlink == 1
}
