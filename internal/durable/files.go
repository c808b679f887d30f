package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Files reads files by their paths. A process that may not enter a directory
// gets them from another process that may; while that one is away the errors
// are [ErrAway].
type Files interface {
	// Open opens a file to read it. It does not wait for the writer of a FIFO.
	Open(path string) (*os.File, error)
	// Stat describes a file without reading it, also one that Open refuses.
	Stat(path string) (fs.FileInfo, error)
}

// ErrAway says that files cannot be read at present: the caller keeps what it
// knows of them.
var ErrAway = errors.New("the files are out of reach")

// Disk is the file system, with the rights of this process.
type Disk struct{}

func (Disk) Open(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDONLY|nonblock, 0) }

func (Disk) Stat(path string) (fs.FileInfo, error) { return os.Stat(path) }

// Look describes several files at once, nil for one that it cannot see. Its
// only error is [ErrAway].
func Look(files Files, paths ...string) ([]fs.FileInfo, error) {
	list := make([]fs.FileInfo, len(paths))
	for i, path := range paths {
		info, err := files.Stat(path)
		if errors.Is(err, ErrAway) {
			return nil, err
		}
		if err == nil {
			list[i] = info
		}
	}
	return list, nil
}

// Same reports whether both descriptions are of the same unchanged file; nil:
// there was none.
func Same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && a.Mode() == b.Mode()
}

// ReadSecretFrom is [ReadSecret] by means of files.
func ReadSecretFrom(files Files, path string) (data []byte, info fs.FileInfo, err error) {
	return readFrom(files, path, MaxSecret, checkInfo)
}

// ReadPublicFrom reads a file that may be public, of at most [MaxSecret] bytes.
func ReadPublicFrom(files Files, path string) ([]byte, error) {
	data, _, err := readFrom(files, path, MaxSecret, checkRegular)
	return data, err
}

func readFrom(files Files, path string, limit int64, check func(string, fs.FileInfo) error) (data []byte, info fs.FileInfo, err error) {
	f, err := files.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if info, err = f.Stat(); err != nil {
		return nil, nil, err
	}
	if err := check(path, info); err != nil {
		return nil, nil, err
	}
	data, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, nil, err
	}
	if int64(len(data)) > limit {
		return nil, nil, fmt.Errorf("%s: larger than %d bytes", path, limit)
	}
	return data, info, nil
}
