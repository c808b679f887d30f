//go:build unix

package durable

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const nonblock = syscall.O_NONBLOCK

func checkOwner(path string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: owner unknown", path)
	}
	euid := os.Geteuid()
	if stat.Uid == 0 || int(stat.Uid) == euid {
		return nil
	}
	if dir, err := ownerOf(filepath.Dir(path)); euid == 0 && err == nil && dir.Uid == stat.Uid {
		return nil
	}
	return &fileError{
		kind: ErrOwner,
		text: fmt.Sprintf("%s: belongs to uid %d, must belong to uid %d or root", path, stat.Uid, euid),
	}
}

// Owner is the uid to whom an open file belongs; -1: unknown.
func Owner(f *os.File) int {
	info, err := f.Stat()
	if err != nil {
		return -1
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

// giveTo gives f to the owner of the file at path. Only root can, and only root
// needs to.
func giveTo(f *os.File, path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	owner, err := ownerOf(path)
	if err != nil {
		return err
	}
	return f.Chown(int(owner.Uid), int(owner.Gid))
}

func ownerOf(path string) (*syscall.Stat_t, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, fmt.Errorf("%s: owner unknown", path)
	}
	return stat, nil
}
