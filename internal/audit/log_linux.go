package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/durable"
)

// Options of a log; a zero field has the default in its comment.
type Options struct {
	MaxSize int64 // bytes above which a new file is begun; 8 MiB
	Keep    int   // how many older files stay; 8
	// Age is how long important records of older files stay even if they need
	// more than Keep files (at most four times as many); 90 days.
	Age     time.Duration
	Reserve int64    // bytes kept free behind the end; 64 KiB
	Sinks   []string // sockets of journald and syslog; nil: the usual ones
}

func (o Options) withDefaults() Options {
	if o.MaxSize <= 0 {
		o.MaxSize = 8 << 20
	}
	if o.Keep <= 0 {
		o.Keep = keepFiles
	}
	if o.Age <= 0 {
		o.Age = 90 * 24 * time.Hour
	}
	if o.Reserve <= 0 {
		o.Reserve = 64 << 10
	}
	if o.Sinks == nil {
		o.Sinks = []string{journalSocket, syslogSocket}
	}
	return o
}

// Log appends to the audit log. Its methods may be called from any goroutine.
type Log struct {
	path string
	opt  Options
	sink *sink

	mu       sync.Mutex // protects the fields below; held while a record is written
	file     *os.File
	reserved int64 // blocks of file are set aside up to here
	seen     int64 // its size at the last look
}

// Open opens the log at path and makes it, with mode 0600 and the owner of its
// directory, when it is missing. It refuses a file that other users could have
// read or written.
func Open(path string, opt Options) (*Log, error) {
	l := &Log{path: path, opt: opt.withDefaults()}
	if err := l.open(); err != nil {
		return nil, err
	}
	l.sink = openSink(l.opt.Sinks)
	return l, nil
}

func (l *Log) open() error {
	f, err := durable.OpenAppend(l.path)
	if err != nil {
		return fmt.Errorf("open the audit log: %w", err)
	}
	l.file, l.reserved, l.seen = f, 0, 0
	return nil
}

func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sink.close()
	return l.file.Close()
}

// Append writes one record with the current time. On an error the record is not
// in the file; the copy may have been sent.
func (l *Log) Append(r Record) error {
	r.Time, r.Argv = time.Now(), clip(r.Argv, 2*maxArgv) // twice the bound: words that were cut already stay as they are
	line, err := encode(r)
	if err != nil {
		return fmt.Errorf("encode a record: %w", err)
	}
	l.sink.send(line[:len(line)-1], r)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.write(line, r.stranger())
}

// write appends line. It requires l.mu.
func (l *Log) write(line []byte, stranger bool) error {
	size, err := l.follow()
	if err != nil {
		return err
	}
	if err := l.makeRoom(size, int64(len(line)), stranger); err != nil {
		return fmt.Errorf("write %s: %w", l.path, err)
	}
	n, err := l.file.Write(line)
	if err == nil {
		return nil
	}
	if n > 0 { // the next record needs a line of its own
		_, end := l.file.Write([]byte{'\n'})
		err = errors.Join(err, end)
	}
	return fmt.Errorf("write %s: %w", l.path, err)
}

// follow opens the log again when another file is at its path, or none. It
// returns the size of the file.
func (l *Log) follow() (int64, error) {
	same, size, err := l.current()
	if err != nil || same {
		return size, err
	}
	old := l.file
	if err := l.open(); err != nil {
		return 0, err
	}
	if err := old.Close(); err != nil {
		return 0, err
	}
	return l.size()
}

// current reports whether our file is the one at the path, and its size.
func (l *Log) current() (bool, int64, error) {
	there, err := os.Lstat(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, 0, nil
	}
	if err != nil {
		return false, 0, err
	}
	ours, err := l.file.Stat()
	if err != nil {
		return false, 0, err
	}
	return os.SameFile(there, ours), ours.Size(), nil
}

// makeRoom begins a new file when this one is full, and renews the reserve
// behind the new line. When the reserve cannot be renewed, only records after a
// login may use the rest of it.
func (l *Log) makeRoom(size, line int64, stranger bool) error {
	if size > 0 && size+line > l.opt.MaxSize && l.rotate() {
		size = 0
	}
	end := size + line + l.opt.Reserve
	if size >= l.seen && end <= l.reserved { // a file that was cut short has lost its reserve
		l.seen = size
		return nil
	}
	l.seen = size
	err := reserve(l.file, size, end+l.opt.Reserve-size) // for the next lines, too: not every line asks for more
	switch {
	case err == nil:
		l.reserved = end + l.opt.Reserve
	case full(err) && stranger:
		return err
	} // otherwise the file system knows no reserve, or this line may use it
	return nil
}

func full(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

func (l *Log) size() (int64, error) {
	info, err := l.file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// reserve sets blocks aside behind the end of f without changing its size
// (fallocate(2), FALLOC_FL_KEEP_SIZE).
func reserve(f *os.File, from, length int64) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.Fallocate(int(fd), unix.FALLOC_FL_KEEP_SIZE, from, length)
	})
	return errors.Join(err, failed)
}
