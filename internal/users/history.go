package users

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/norestart/norestart/internal/durable"
)

// HistoryDir is the directory in the state directory with the lines that each
// user typed, a file each.
const HistoryDir = "shell/history"

const (
	lockFile = ".lock" // in it
	// historyLock is how long another process may hold the lock.
	historyLock = time.Second
)

// HistoryFile is the file of a user in that directory. Its name has only
// characters that are safe in a path.
func HistoryFile(dir, user string) string {
	var b strings.Builder
	for _, c := range []byte(user) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return filepath.Join(dir, b.String())
}

// LockHistory keeps other writers away from the directory, which must be there.
func LockHistory(dir string) (*durable.Lock, error) {
	ctx, cancel := context.WithTimeout(context.Background(), historyLock)
	defer cancel()
	return durable.Acquire(ctx, filepath.Join(dir, lockFile))
}

// ForgetHistory removes what a user typed, if there is anything. The directory
// above the histories may belong to the user of the shell worker: nothing in it
// leads out of it.
func ForgetHistory(state, user string) (err error) {
	above, dir := filepath.Split(HistoryDir)
	own, err := os.OpenRoot(filepath.Join(state, above))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, own.Close()) }()
	file := HistoryFile(dir, user)
	if _, err := own.Lstat(file); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), historyLock)
	defer cancel()
	lock, err := durable.AcquireIn(ctx, own, filepath.Join(dir, lockFile))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	if err := own.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(own, dir)
}

// syncDir makes a removal durable.
func syncDir(own *os.Root, dir string) error {
	d, err := own.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
