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

// historyLock is how long another process may hold it.
const historyLock = time.Second

// HistoryFile is the file of a user in that directory: a name of letters that
// mean nothing to a file system.
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
	return durable.Acquire(ctx, filepath.Join(dir, ".lock"))
}

// ForgetHistory removes what a user typed, if there is anything.
func ForgetHistory(dir, user string) (err error) {
	file := HistoryFile(dir, user)
	if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	lock, err := LockHistory(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	return durable.Remove(file)
}
