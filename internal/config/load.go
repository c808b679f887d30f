package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/BurntSushi/toml"

	"github.com/norestart/norestart/internal/dirs"
	"github.com/norestart/norestart/internal/tomldoc"
)

// FileName is what a configuration is called when nothing else is said.
const FileName = "norestart.toml"

// maxFile bounds a configuration and each file of variables.
const maxFile = 1 << 20

// Load reads a configuration and what it names: the files of variables, the
// directories, the programs. What is wrong with them is an error of type
// [Problems].
func Load(path string) (*File, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, text)
}

// readFile does not wait for the writer of a named pipe. For root it refuses a file
// that another user may change.
func readFile(path string) (string, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	if err == nil {
		err = dirs.CheckTrusted(path)
	}
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s: it is larger than 1 MiB", path)
	}
	return string(text), err
}

// Parse is [Load] with the text of the file at path.
func Parse(path, text string) (*File, error) {
	doc, root, err := tomldoc.Open(text)
	if e, ok := errors.AsType[toml.ParseError](err); ok {
		return nil, Problems{{path, max(e.Position.Line, 1), plain(e.Message)}}
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	r := &reader{doc: doc, path: path}
	f := &File{}
	if f.path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	r.read(root, "", f)
	r.check(f)
	if len(r.bad) > 0 {
		return nil, r.bad.sorted(path)
	}
	return f, nil
}

// plain adds to an error of syntax what people forget most.
func plain(message string) string {
	if strings.HasPrefix(message, `expected value but found "`) {
		return message + ": text stands in quotes"
	}
	return message
}

// from is a path as it is meant in this file.
func (f *File) from(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(f.path), path)
}
