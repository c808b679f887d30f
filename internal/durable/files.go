package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// Files is how a process comes at files by their paths. One that may not enter
// their directory gets them from another that may; while that one is away the
// errors are [ErrAway].
type Files interface {
	// Open opens a file to read it. It does not wait, as a FIFO would make it.
	Open(path string) (*os.File, error)
	// Stat tells of a file without reading it, also of one that Open refuses.
	Stat(path string) (fs.FileInfo, error)
}

// ErrAway is the error of files that cannot be looked at now, whatever is in
// them: what is known of them stays true.
var ErrAway = errors.New("the files are out of reach")

// Disk is the file system, with the rights of this process.
type Disk struct{}

// Open implements [Files].
func (Disk) Open(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDONLY|nonblock, 0) }

// Stat implements [Files].
func (Disk) Stat(path string) (fs.FileInfo, error) { return os.Stat(path) }

// Look tells of several files at once, nil for one that cannot be seen. Its error
// is [ErrAway] or none.
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

// Same reports whether nothing about a file has changed that would show from
// outside; nil: there was none.
func Same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && a.Mode() == b.Mode()
}

// ReadSecretFrom is [ReadSecret] with other files than those of the disk.
func ReadSecretFrom(files Files, path string) (data []byte, info fs.FileInfo, err error) {
	return readFrom(files, path, checkInfo)
}

// ReadPublicFrom reads a file that anybody may read, of at most [MaxSecret]
// bytes.
func ReadPublicFrom(files Files, path string) ([]byte, error) {
	data, _, err := readFrom(files, path, checkRegular)
	return data, err
}

func readFrom(files Files, path string, check func(string, fs.FileInfo) error) (data []byte, info fs.FileInfo, err error) {
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
	data, err = io.ReadAll(io.LimitReader(f, MaxSecret+1))
	if err != nil {
		return nil, nil, err
	}
	if len(data) > MaxSecret {
		return nil, nil, tooLarge(path)
	}
	return data, info, nil
}
