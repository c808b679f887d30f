package users

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/norestart/norestart/internal/durable"
)

// FileName is the name of the file of users in the state directory.
const FileName = "users.toml"

// lockTimeout is how long an edit waits for another one.
const lockTimeout = 10 * time.Second

// Read reads the file at path; a missing file has no users. Its mode must be 0600
// or stricter, and its owner the reader or root. It may be a symbolic link, as
// tools that manage configuration make them: only the owner of the directory can
// put a link there, and its target is checked like the file itself.
func Read(path string, check CheckKey) (*File, error) {
	f, _, err := read(durable.Disk{}, path, check)
	return f, err
}

// read also returns the state of the file, nil if there was none.
func read(files durable.Files, path string, check CheckKey) (*File, fs.FileInfo, error) {
	data, info, err := durable.ReadSecretFrom(files, path)
	if errors.Is(err, fs.ErrNotExist) {
		f, err := Parse(path, "", check)
		return f, nil, err
	}
	if err != nil {
		return nil, nil, err
	}
	f, err := Parse(path, string(data), check)
	return f, info, err
}

// Edit changes the file at path by change, under a lock (path.lock), so that no
// edit loses another one. The new content replaces the old as a whole, with mode
// 0600 and the owner of the old file; a missing file is made. When change fails
// nothing is written.
func Edit(path string, check CheckKey, change func(*File) error) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), lockTimeout)
	defer cancel()
	lock, err := durable.Acquire(ctx, path+".lock")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()

	f, err := Read(path, check)
	if err != nil {
		return err
	}
	old := f.text
	if err := change(f); err != nil {
		return err
	}
	if f.text == old {
		return nil
	}
	if err := durable.WriteFile(path, []byte(f.text), 0o600); err != nil {
		return fmt.Errorf("%w; nothing was changed", err)
	}
	return nil
}
