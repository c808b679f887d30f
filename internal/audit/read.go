package audit

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/norestart/norestart/internal/durable"
)

// FileName is the name of the audit log in the state directory; older files are
// audit.jsonl.1 and so on.
const FileName = "audit.jsonl"

// names are the files in the state directory that keep the important records of
// removed files, by class.
var names = [classes]string{looks: FileName, access: "audit-access.jsonl", admins: "audit-admin.jsonl"}

const (
	maxLine   = 1 << 20 // bytes of a line that is read
	keepFiles = 8       // how many older files stay, unless the options say otherwise
	// most bounds the files of a class while its records are young, as a
	// multiple of keepFiles.
	most = 4
)

func scan(f *os.File) *bufio.Scanner {
	s := bufio.NewScanner(f)
	s.Buffer(nil, maxLine)
	return s
}

// Read calls each with the records in a state directory, oldest first. Files that
// were not written since are skipped. An error of each ends it.
func Read(state string, since time.Time, each func(line []byte, r Record) error) error {
	var all [classes]series
	for _, c := range []class{admins, access, looks} { // in this order: a record that moves meanwhile is met in the log
		defer all[c].close()
		if err := all[c].open(filepath.Join(state, names[c]), since); err != nil {
			return err
		}
	}
	for c := range all {
		all[c].next()
	}
	var last string
	for {
		s := oldest(all[:])
		if s == nil {
			return nil
		}
		if string(s.line) != last { // a record that moves meanwhile is met twice
			last = string(s.line)
			if err := each(s.line, s.record); err != nil {
				return err
			}
		}
		s.next()
	}
}

// Reader is [Read] for lines as they are in the files.
func Reader(state string) func(since time.Time, each func(line []byte) error) error {
	return func(since time.Time, each func(line []byte) error) error {
		return Read(state, since, func(line []byte, _ Record) error { return each(line) })
	}
}

// series is a file and its older files, read from the oldest on.
type series struct {
	files  []*os.File // what is still to read
	lines  *bufio.Scanner
	line   []byte // nil: there is no more
	record Record
}

func (s *series) close() {
	for _, f := range s.files {
		_ = f.Close()
	}
}

// open opens the files, the newest first: a file that is renamed meanwhile is
// met twice rather than missed.
func (s *series) open(path string, since time.Time) error {
	var seen []fs.FileInfo
	for n := range most*keepFiles + 1 {
		name := path
		if n > 0 {
			name = fmt.Sprintf("%s.%d", path, n)
		}
		f, err := durable.Disk{}.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		info, err := f.Stat()
		known := func(i fs.FileInfo) bool { return os.SameFile(i, info) }
		if err != nil || !info.Mode().IsRegular() || info.ModTime().Before(since) || slices.ContainsFunc(seen, known) {
			_ = f.Close() // too old
			continue
		}
		seen, s.files = append(seen, info), append([]*os.File{f}, s.files...)
	}
	return nil
}

// next goes to the next record and skips broken lines.
func (s *series) next() {
	for s.line = nil; len(s.files) > 0; {
		if s.lines == nil {
			s.lines = scan(s.files[0])
		}
		for s.lines.Scan() {
			s.record = Record{}
			if json.Unmarshal(s.lines.Bytes(), &s.record) == nil {
				s.line = s.lines.Bytes()
				return
			}
		}
		_ = s.files[0].Close()
		s.files, s.lines = s.files[1:], nil
	}
}

// oldest returns the series whose next record is the oldest; nil at the end.
func oldest(all []series) (first *series) {
	for i := range all {
		if s := &all[i]; s.line != nil && (first == nil || s.record.Time.Before(first.record.Time)) {
			first = s
		}
	}
	return first
}
