package proc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Binary is one version of a program. It can be started until Close, even if its
// file was replaced or removed.
//
// The file itself (device and inode) is pinned, not its content: write a new
// version beside it and rename it over. A script is pinned only by its path,
// because an interpreter cannot open our descriptor.
type Binary struct {
	path     string
	fd       int // O_PATH
	dev, ino uint64
	modified time.Time
}

// Pin pins the file that path names now. Symbolic links in it are followed now
// and again at each [Binary.ExecPath]; a relative path is made absolute.
func Pin(path string) (*Binary, error) { return pin(path, path) }

// PinSelf pins the program that this process runs, even if its file has been
// replaced, under the path by which it was started.
func PinSelf(path string) (*Binary, error) { return pin(path, "/proc/self/exe") }

func pin(path, open string) (*Binary, error) {
	fd, err := unix.Open(open, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("pin %s: %w", path, err)
	}
	b, err := PinFD(fd, path)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return b, nil
}

var errNotPinned = errors.New("not a descriptor that pins a file")

// PinFD goes on with a pin that came over execve(2): fd is what [Binary.FD] of
// the earlier image gave, under the path of that one. On success the descriptor
// is the new Binary's and closed on exec again; else it is left as it was.
func PinFD(fd int, path string) (*Binary, error) {
	b, err := pinFD(fd, path)
	if err != nil {
		return nil, fmt.Errorf("pin %s: %w", path, err)
	}
	return b, nil
}

func pinFD(fd int, path string) (*Binary, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	// A descriptor open for writing would keep the file from being executed
	// (ETXTBSY), and a socket's number may have got here by mistake.
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return nil, err
	}
	if flags&unix.O_PATH == 0 {
		return nil, errNotPinned
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
		return nil, err
	}
	return &Binary{path: abs, fd: fd, dev: uint64(st.Dev), ino: st.Ino, modified: time.Unix(st.Mtim.Unix())}, nil
}

// Path is the path as typed, made absolute.
func (b *Binary) Path() string { return b.path }

// FD is the descriptor that keeps the file, to be left open over execve(2) for
// [PinFD]. It stays the Binary's; -1 after Close.
func (b *Binary) FD() int { return b.fd }

// Identity is the device and the inode of the pinned file: two Binaries pin the
// same file if both are the same, as long as both are open.
func (b *Binary) Identity() (dev, ino uint64) { return b.dev, b.ino }

// Modified is when the file had been written when it was pinned.
func (b *Binary) Modified() time.Time { return b.modified }

// Current reports whether the path still names the pinned file.
func (b *Binary) Current() bool {
	var st unix.Stat_t
	err := unix.Stat(b.path, &st)
	return err == nil && uint64(st.Dev) == b.dev && st.Ino == b.ino
}

// ExecPath returns what to execute: the path while it names the pinned file,
// else the kept descriptor as "/proc/self/fd/N". The latter works only between
// fork and exec of this process, shows the process under the name N (prctl(2),
// PR_SET_NAME cures that), and fails for scripts.
func (b *Binary) ExecPath() string {
	if b.Current() {
		return b.path
	}
	return b.fdPath()
}

func (b *Binary) fdPath() string { return fdDir + strconv.Itoa(b.fd) }

var (
	errNotRegular    = errors.New("not a regular file")
	errEmpty         = errors.New("file is empty")
	errNotExecutable = errors.New("not executable")
)

// Check reports an obvious fault of the pinned file: not a regular file, empty,
// or not executable for us. A file that passes may still be broken.
func (b *Binary) Check() error {
	if err := b.check(); err != nil {
		return fmt.Errorf("check %s: %w", b.path, err)
	}
	return nil
}

func (b *Binary) check() error {
	var st unix.Stat_t
	if err := unix.Fstat(b.fd, &st); err != nil {
		return err
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return errNotRegular
	case st.Size == 0:
		return errEmpty
	case st.Mode&0o111 == 0:
		return errNotExecutable
	}
	// Also false on a file system that is mounted noexec.
	if err := unix.Faccessat(unix.AT_FDCWD, b.fdPath(), unix.X_OK, unix.AT_EACCESS); err != nil {
		return fmt.Errorf("%w: %w", errNotExecutable, err)
	}
	return nil
}

// Close releases the file. Processes that run it are not affected.
func (b *Binary) Close() error {
	if b.fd < 0 {
		return os.ErrClosed
	}
	err := unix.Close(b.fd)
	b.fd = -1
	return err
}
