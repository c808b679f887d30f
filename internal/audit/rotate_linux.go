package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/durable"
)

// rotate begins a new file and reports whether it did. Where it cannot, the old
// one grows on: a record is worth more than a small file. It is done by one
// process at a time, the one that holds the lock of the file at the path; at no
// moment is there none.
func (l *Log) rotate() bool {
	if !lock(l.file) {
		return false // another one is about to
	}
	defer unlock(l.file)
	if same, _, err := l.current(); err != nil || !same {
		return false // another one has: the next line goes to its file
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
			_ = old.Close() // all of it is written
			return true
		}
	}
	_ = next.Close() // nothing is in it
	return false
}

// begin makes the next file, with its reserve: without that there is no point
// in leaving the old one.
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

// shift gives the old files their next numbers and this one the first.
func (l *Log) shift() error {
	for n := l.opt.Keep; n > 1; n-- {
		err := os.Rename(l.numbered(n-1), l.numbered(n))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Remove(l.numbered(1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Link(l.path, l.numbered(1))
}

func (l *Log) numbered(n int) string { return fmt.Sprintf("%s.%d", l.path, n) }

// lock takes the lock of f if nobody has it (flock(2)).
func lock(f *os.File) bool {
	return flock(f, unix.LOCK_EX|unix.LOCK_NB) == nil
}

// unlock gives it back; after a rotation f is closed, which has done so.
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
