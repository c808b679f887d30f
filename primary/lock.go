package primary

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrTaken is what whoever finds a primary in the state directory gets.
var ErrTaken = errors.New("another primary runs here already")

// takeState makes this process the one primary of the state directory. The
// lock (flock(2)) is in the state directory, not in the run directory, which
// somebody may delete while a primary runs. It is held by the descriptor: the
// kernel frees it however the process ends.
func takeState(cfg Config) (*os.File, error) {
	path := filepath.Join(cfg.State, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("take the state directory: %w", err)
	}
	err = lock(f)
	if errors.Is(err, unix.EWOULDBLOCK) {
		first, _ := io.ReadAll(io.LimitReader(f, 32))
		err = fmt.Errorf("%s: %w: pid %s", cfg.State, ErrTaken, strings.TrimSpace(string(first)))
		return nil, errors.Join(err, f.Close())
	}
	text := strconv.Itoa(cfg.PID) + "\n"
	if err == nil {
		_, err = f.WriteAt([]byte(text), 0) // into the room that it has, should the disk be full
	}
	if err == nil {
		err = f.Truncate(int64(len(text)))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("take %s: %w", path, err), f.Close())
	}
	return f, nil
}

func lock(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var lockErr error
	err = raw.Control(func(fd uintptr) { lockErr = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) })
	return errors.Join(err, lockErr)
}
