package norestart

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/norestart/norestart/control"
)

// ownDirectory makes the directory at path that belongs to the user as, or to
// the owner of the directory above it if there is none. One that another user
// had before is given to him with what is in it. Only root can give away, and
// only root has to.
func ownDirectory(path string, as *control.Identity) error {
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

// giveAway gives a directory and what is in it to another user. Its owner of
// before may be at work in it: no symbolic link is followed, and of a file with
// other names elsewhere nothing is given away.
func giveAway(path string, to owner) error {
	root, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := root.Lstat(name)
		if err != nil {
			return err
		}
		if stat := info.Sys().(*syscall.Stat_t); !info.IsDir() && (stat.Nlink != 1 || !info.Mode().IsRegular()) {
			return nil
		}
		return root.Lchown(name, int(to.uid), int(to.gid))
	})
	if err != nil {
		return fmt.Errorf("give %s away: %w", path, err)
	}
	return nil
}
