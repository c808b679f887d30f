//go:build unix && !solaris && !illumos && !aix

package durable

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockPoll is the interval of tries for a lock that another process holds:
// flock(2) cannot wait with a deadline.
const lockPoll = 20 * time.Millisecond

// Lock is a lock that this process holds until [Lock.Release] or until it ends.
type Lock struct{ f *os.File }

// Acquire takes the exclusive lock at path and waits for it until ctx is done.
// It makes the file when it is missing and never removes it.
func Acquire(ctx context.Context, path string) (*Lock, error) {
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, plain(err))
	}
	defer dir.Close()
	return AcquireIn(ctx, dir, filepath.Base(path))
}

// AcquireIn is [Acquire] for a file below a directory in which another user may
// write: it follows no symbolic link.
func AcquireIn(ctx context.Context, dir *os.Root, name string) (*Lock, error) {
	path := filepath.Join(dir.Name(), name)
	f, err := openLock(dir, name)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, plain(err))
	}
	if err := wait(ctx, f); err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, errors.Join(err, f.Close()))
	}
	return &Lock{f: f}, nil
}

func (l *Lock) Release() error { return l.f.Close() }

func openLock(dir *os.Root, name string) (*os.File, error) {
	f, err := dir.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL|nonblock, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return reopenLock(dir, name)
	}
	if err != nil {
		return nil, err
	}
	// A lock that root made in the directory of another user must serve both.
	above, err := dir.Stat(filepath.Dir(name))
	if err == nil {
		err = giveTo(f, above)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// reopenLock opens an existing lock. It looks at the file first: opening a
// device may have an effect.
func reopenLock(dir *os.Root, name string) (*os.File, error) {
	info, err := dir.Lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		return nil, err
	}
	return dir.OpenFile(name, os.O_RDWR|nonblock, 0)
}

func wait(ctx context.Context, f *os.File) error {
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("another process holds it: %w", ctx.Err())
		}
	}
}
