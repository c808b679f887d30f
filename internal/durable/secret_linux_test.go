package durable_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/durable"
)

func TestWriteFileModeIgnoresUmask(t *testing.T) {
	for _, umask := range []int{0, 0o777} {
		path := filepath.Join(t.TempDir(), "f")
		old := syscall.Umask(umask)
		err := durable.WriteFile(path, []byte("x"), 0o640)
		syscall.Umask(old)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("umask %04o: %v, %v", umask, info.Mode(), err)
		}
	}
}

// A tiny tmpfs is a disk that is really full.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=16k"); err != nil {
		t.Skipf("run as root with CAP_SYS_ADMIN to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	full(t, dir, syscall.ENOSPC)
}

// A limit on file sizes makes write(2) fail in the middle without privileges.
func TestFileTooLarge(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 8 << 10, Max: old.Max}); err != nil {
		t.Skipf("run where RLIMIT_FSIZE can be set: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
			t.Error(err)
		}
		signal.Reset(syscall.SIGXFSZ)
	})
	full(t, dir, syscall.EFBIG)
}

// full writes a small file to dir and then one for which there is no space.
func full(t *testing.T, dir string, want error) {
	t.Helper()
	path := filepath.Join(dir, "f")
	if err := durable.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := durable.WriteFile(path, bytes.Repeat([]byte("new"), 16<<10), 0o600)
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "old" {
		t.Errorf("the old file has %q, %v", got, err)
	}
	if err := durable.CreateFile(filepath.Join(dir, "g"), make([]byte, 48<<10), 0o600); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
	wantOnly(t, dir, "f")
}

func TestWriteFileKeepsOwner(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.Chown(dir, 1234, 1235); err != nil {
		t.Fatal(err)
	}
	write := func(wantUID, wantGID uint32) {
		t.Helper()
		if err := durable.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		var st syscall.Stat_t
		if err := syscall.Stat(path, &st); err != nil || st.Uid != wantUID || st.Gid != wantGID {
			t.Errorf("owner %d:%d, %v; want %d:%d", st.Uid, st.Gid, err, wantUID, wantGID)
		}
	}
	write(1234, 1235) // the directory's
	if err := os.Chown(path, 77, 78); err != nil {
		t.Fatal(err)
	}
	write(77, 78) // the file's
}

func TestCheckSecret(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	if err := os.WriteFile(path, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[os.FileMode]error{
		0o600: nil, 0o400: nil, 0o700: nil, 0o640: durable.ErrMode, 0o620: durable.ErrMode,
		0o604: durable.ErrMode, 0o602: durable.ErrMode, 0o601: durable.ErrMode, 0o644: durable.ErrMode,
	} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := durable.CheckSecret(path); !errors.Is(err, want) {
			t.Errorf("mode %04o: %v, want %v", mode, err, want)
		}
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	want := path + ": mode 0644, must be 0600: chmod 600 " + path
	if _, _, err := durable.ReadSecret(path); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestCheckSecretOwner(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chown(path, 1234, 1234)); err != nil {
		t.Fatal(err)
	}
	if err := durable.CheckSecret(path); !errors.Is(err, durable.ErrOwner) {
		t.Errorf("another user's file: %v", err)
	}
	if err := os.Chown(dir, 1234, 1234); err != nil {
		t.Fatal(err)
	}
	if err := durable.CheckSecret(path); err != nil {
		t.Errorf("the file of the directory's owner: %v", err)
	}
}

func TestReadSecretRefuses(t *testing.T) {
	dir := t.TempDir()
	fifo, big := filepath.Join(dir, "fifo"), filepath.Join(dir, "big")
	if err := errors.Join(
		syscall.Mkfifo(fifo, 0o600),
		os.WriteFile(big, nil, 0o600),
		os.Truncate(big, durable.MaxSecret+1),
	); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, big, dir} {
		if _, _, err := durable.ReadSecret(path); err == nil {
			t.Errorf("%s: read", path)
		}
	}
	if err := os.Truncate(big, durable.MaxSecret); err != nil {
		t.Fatal(err)
	}
	data, info, err := durable.ReadSecret(big)
	if err != nil || len(data) != durable.MaxSecret || info.Size() != durable.MaxSecret {
		t.Errorf("the largest: %d bytes, %v", len(data), err)
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := durable.Acquire(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := durable.Acquire(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the second: %v", err)
	}
	next := make(chan error, 1)
	go func() {
		second, err := durable.Acquire(t.Context(), path)
		if err == nil {
			err = second.Release()
		}
		next <- err
	}()
	if err := first.Release(); err != nil {
		t.Error(err)
	}
	if err := <-next; err != nil {
		t.Errorf("after the release: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("lock file: %v, %v", info, err)
	}
}

func TestLockErrors(t *testing.T) {
	if _, err := durable.Acquire(t.Context(), filepath.Join(t.TempDir(), "missing", "lock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// The name of a lock may be made by somebody else: what it leads to is neither
// made nor opened.
func TestLockFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	real, fifo := filepath.Join(dir, "real"), filepath.Join(dir, "fifo")
	if err := errors.Join(
		os.WriteFile(real, nil, 0o600), syscall.Mkfifo(fifo, 0o600), os.Symlink("real", filepath.Join(dir, "inside")),
		os.Symlink(filepath.Join(t.TempDir(), "new"), filepath.Join(dir, "outside")),
	); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"inside", "outside", "fifo"} {
		if _, err := durable.Acquire(t.Context(), filepath.Join(dir, name)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("run as root to give files away")
	}
}
