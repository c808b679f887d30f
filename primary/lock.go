package primary

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/proc"
)

// ErrTaken says that a primary runs in the state directory.
var ErrTaken = errors.New("another primary runs here already")

// takeState makes this process the one primary of the state directory. The lock
// (flock(2)) is there and not in the run directory, which somebody may delete
// while a primary runs. A descriptor holds it: the kernel frees it however the
// process ends.
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
		_, err = f.WriteAt([]byte(text), 0) // in place: the disk may be full
	}
	if err == nil {
		err = f.Truncate(int64(len(text)))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("take %s: %w", path, err), f.Close())
	}
	return f, nil
}

// forkTime is how long a child that a killed primary was just starting may have
// the lock: from fork to exec it has all descriptors, O_CLOEXEC or not.
const forkTime = 2 * time.Second

// lock takes the lock, and waits for it a little if the primary that the file
// names has gone.
func lock(f *os.File) error {
	until := time.Now().Add(forkTime)
	for {
		err := tryLock(f)
		if !errors.Is(err, unix.EWOULDBLOCK) || !holderGone(f) || time.Now().After(until) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

func holderGone(f *os.File) bool {
	var text [32]byte
	n, _ := f.ReadAt(text[:], 0) // also at the end of the file
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	return err == nil && pid > 0 && proc.Ended(pid)
}

func tryLock(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var lockErr error
	err = raw.Control(func(fd uintptr) { lockErr = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) })
	return errors.Join(err, lockErr)
}
