package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/norestart/norestart/control"
)

// Log is a file for what the workers of a pool write.
type Log struct {
	Pool   string
	Path   string // absolute
	Format string // "text": time, worker, line; "json": the same as an object; "raw": the line alone
	Size   int64  // at which it is renamed to Path.1, and that to Path.2
	Keep   int    // how many such files there are
}

// logFile is such a file and the lines for it.
type logFile struct {
	Log
	count      func(outcome string, lines int64)
	lines      chan control.LogLine
	dropped    atomic.Int64  // lines that found no room
	sent, done atomic.Uint64 // places of the last line that was given to it, and dealt with
	ended      chan struct{}

	// Of its goroutine.
	file    *os.File // nil: not open
	size    int64
	looked  time.Time // when it was seen to be the file at Path
	missing int64     // lines that are not in it, to be told in it
	failed  error     // nil: it can be written
	retry   time.Time // with failed: when that is tried again
}

func newLogFile(l Log, count func(outcome string, lines int64)) *logFile {
	return &logFile{Log: l, count: count, lines: make(chan control.LogLine, queuedLines), ended: make(chan struct{})}
}

// batchSize is how much is written at once.
const batchSize = 64 << 10

// run writes the lines until there will be no more.
func (f *logFile) run() {
	defer close(f.ended)
	f.write(nil, 0) // what is wrong with it is said now
	for x := range f.lines {
		text, n := f.render(nil, x), int64(1)
		for len(text) < batchSize && len(f.lines) > 0 {
			if more, ok := <-f.lines; ok {
				x, n, text = more, n+1, f.render(text, more)
			}
		}
		f.write(text, n)
		f.done.Store(x.Seq)
	}
	if f.file != nil {
		_ = f.file.Close()
	}
}

// write writes n lines, and before them that others are missing.
func (f *logFile) write(text []byte, n int64) {
	f.missing += f.dropped.Swap(0)
	if f.missing > 0 {
		told := fmt.Sprintf("%d lines are missing here: they could not be written, or not fast enough", f.missing)
		text = append(f.render(nil, control.LogLine{Time: time.Now(), Worker: ourselves, Text: told}), text...)
	}
	err := f.put(text)
	switch {
	case err != nil:
		f.missing += n
		f.count("failed", n)
		if f.retry = time.Now().Add(reopenEvery); f.failed == nil {
			warn("log of pool %s: lines are dropped: %v", f.Pool, err)
		}
	case f.failed != nil:
		warn("log of pool %s: it is written again", f.Pool)
		fallthrough
	default:
		f.missing = 0
		f.count("written", n)
	}
	f.failed = err
}

// reopenEvery is how often it is looked whether somebody has renamed the file, and
// how long one that cannot be written is left alone.
const reopenEvery = time.Second

// put writes a text as a whole or not at all.
func (f *logFile) put(text []byte) error {
	if f.failed != nil && time.Now().Before(f.retry) {
		return f.failed
	}
	if err := f.open(); err != nil {
		return err
	}
	if f.size > 0 && f.size+int64(len(text)) > f.Size {
		if err := f.rotate(); err != nil {
			return err
		}
	}
	n, err := f.file.Write(text)
	if f.size += int64(n); err != nil {
		err = errors.Join(err, f.file.Truncate(f.size-int64(n))) // no half line
		f.close()
	}
	return err
}

func (f *logFile) close() {
	_ = f.file.Close()
	f.file = nil
}

// open makes sure that the file at Path is open.
func (f *logFile) open() error {
	if f.file != nil {
		if time.Since(f.looked) < reopenEvery || f.isAtPath() {
			return nil
		}
		f.close()
	}
	f.looked = time.Now()
	file, err := os.OpenFile(f.Path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0o640) // a pipe is not waited for
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", f.Path)
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.file, f.size = file, info.Size()
	return nil
}

// isAtPath tells whether the open file is that at Path: something like logrotate(8)
// may have renamed it.
func (f *logFile) isAtPath() bool {
	f.looked = time.Now()
	ours, err := f.file.Stat()
	there, gone := os.Lstat(f.Path)
	if err != nil || gone != nil {
		return false
	}
	f.size = ours.Size()
	return os.SameFile(ours, there)
}

// rotate renames the file, those before it, and opens a new one.
func (f *logFile) rotate() error {
	f.close()
	for i := f.Keep; i > 0; i-- {
		from := f.Path
		if i > 1 {
			from += "." + strconv.Itoa(i-1)
		}
		if err := os.Rename(from, f.Path+"."+strconv.Itoa(i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Remove(f.Path); err != nil && !errors.Is(err, fs.ErrNotExist) { // none is kept
		return err
	}
	return f.open()
}

// timeFormat is RFC 3339 with milliseconds.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// entry is a line in the format json.
type entry struct {
	Time   string `json:"time"`
	Worker string `json:"worker"`
	Text   string `json:"text"`
}

// render appends a line in the format of the file.
func (f *logFile) render(to []byte, x control.LogLine) []byte {
	at := x.Time.UTC().Format(timeFormat)
	switch {
	case f.Format == "raw" && x.Worker != ourselves:
		return append(append(to, x.Text...), '\n')
	case f.Format == "json":
		text, _ := json.Marshal(entry{at, x.Worker, x.Text}) // texts can be encoded
		return append(append(to, text...), '\n')
	}
	return fmt.Appendf(to, "%s %s %s\n", at, x.Worker, x.Text)
}

// ourselves stands for a worker in lines of our own.
const ourselves = "norestart"
