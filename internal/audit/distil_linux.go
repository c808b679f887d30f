package audit

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/norestart/norestart/internal/durable"
)

// distil copies the important records of a file to the files of their classes,
// in which less important records take no room. After a crash in the middle
// some records are there twice.
func (l *Log) distil(path string) error {
	old, err := durable.Disk{}.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer old.Close()
	for c := access; c < classes; c++ {
		if _, err := old.Seek(0, 0); err != nil {
			return err
		}
		if err := l.keep(old, c); err != nil {
			return err
		}
	}
	return nil
}

// keep appends all the records of one class to its file, or none.
func (l *Log) keep(old *os.File, c class) (err error) {
	path := filepath.Join(filepath.Dir(l.path), names[c])
	f, err := durable.OpenAppend(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	before, err := f.Stat()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(f)
	for lines := scan(old); lines.Scan(); {
		var r Record
		if json.Unmarshal(lines.Bytes(), &r) == nil && r.class() == c {
			_, _ = out.Write(append(lines.Bytes(), '\n'))
		}
	}
	if err := out.Flush(); err != nil {
		return errors.Join(err, f.Truncate(before.Size()))
	}
	if before.Size() < l.opt.MaxSize {
		return nil
	}
	return l.shiftClass(path)
}

// shiftClass begins a new file of a class.
func (l *Log) shiftClass(path string) error {
	over := func(n int, info fs.FileInfo) bool {
		return n >= l.opt.Keep && (n >= most*l.opt.Keep || time.Since(info.ModTime()) > l.opt.Age)
	}
	if err := shiftOld(path, most*l.opt.Keep, over); err != nil {
		return err
	}
	return os.Rename(path, numbered(path, 1))
}
