package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/durable"
)

// rotate begins a new file and reports whether it did. If that fails, the old
// file grows: a record is worth more than a small file. Only the process that
// holds the lock of the file at the path rotates, and there is always a file at
// the path.
func (l *Log) rotate() bool {
	if !lock(l.file) {
		return false // another process rotates
	}
	defer unlock(l.file)
	if same, _, err := l.current(); err != nil || !same {
		return false // another process has rotated: the next line goes to its file
	}
	next, err := l.begin()
	if err != nil {
		return false
	}
	if err := l.shift(); err == nil {
		err = os.Rename(l.path+".new", l.path)
		if err == nil {
			old := l.file
			l.file, l.reserved, l.seen = next, 0, 0
			_ = old.Close()
			return true
		}
	}
	_ = next.Close()
	return false
}

// begin makes the next file with its reserve. Without a reserve there is no
// point in leaving the old file.
func (l *Log) begin() (*os.File, error) {
	path := l.path + ".new"
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := durable.OpenAppend(path)
	if err != nil {
		return nil, err
	}
	if err := reserve(f, 0, l.opt.Reserve); full(err) {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return f, nil
}

// shift gives the old files their next numbers and this one the first. Before
// the last one is removed, its important records are copied.
func (l *Log) shift() error {
	if err := l.distil(numbered(l.path, l.opt.Keep)); err != nil {
		return err
	}
	if err := shiftOld(l.path, l.opt.Keep, func(n int, _ fs.FileInfo) bool { return n >= l.opt.Keep }); err != nil {
		return err
	}
	return os.Link(l.path, numbered(l.path, 1))
}

// shiftOld gives older files their next numbers, and removes those beyond the
// limit.
func shiftOld(path string, last int, over func(n int, info fs.FileInfo) bool) error {
	for n := last; n >= 1; n-- {
		info, err := os.Lstat(numbered(path, n))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err == nil && over(n, info):
			err = os.Remove(numbered(path, n))
		case err == nil:
			err = os.Rename(numbered(path, n), numbered(path, n+1))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func numbered(path string, n int) string { return fmt.Sprintf("%s.%d", path, n) }

// lock takes the lock of f if it is free (flock(2)).
func lock(f *os.File) bool {
	return flock(f, unix.LOCK_EX|unix.LOCK_NB) == nil
}

func unlock(f *os.File) { _ = flock(f, unix.LOCK_UN) }

func flock(f *os.File, how int) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.Flock(int(fd), how) })
	return errors.Join(err, failed)
}
