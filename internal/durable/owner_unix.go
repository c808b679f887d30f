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
	if dir, err := os.Stat(filepath.Dir(path)); euid == 0 && err == nil {
		if above, ok := dir.Sys().(*syscall.Stat_t); ok && above.Uid == stat.Uid {
			return nil
		}
	}
	return &fileError{
		kind: ErrOwner,
		text: fmt.Sprintf("%s: belongs to uid %d, must belong to uid %d or root", path, stat.Uid, euid),
	}
}

// Owner returns the uid of the owner of an open file; -1: unknown.
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

// giveTo gives f the owner of the file in info. Only root can, and only root
// needs to.
func giveTo(f *os.File, info fs.FileInfo) error {
	if os.Geteuid() != 0 {
		return nil
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: owner unknown", info.Name())
	}
	return f.Chown(int(stat.Uid), int(stat.Gid))
}
