//go:build unix

package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// OpenAppend opens the file at path to append to, under the rules of
// [CheckSecret]; it is made with mode 0600 and the owner of its directory when
// it is missing. A symbolic link is not followed.
func OpenAppend(path string) (*os.File, error) {
	const flags = os.O_WRONLY | os.O_APPEND | syscall.O_NOFOLLOW | nonblock
	f, err := os.OpenFile(path, flags|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		dir, err := os.Stat(filepath.Dir(path))
		if err == nil {
			err = giveTo(f, dir)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return f, nil
	}
	if !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if f, err = os.OpenFile(path, flags, 0); errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%s: a symbolic link, must be a file", path)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = checkInfo(path, info)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
