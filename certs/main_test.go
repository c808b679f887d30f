package certs

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/durable"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func wantMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Error(err)
	} else if info.Mode().Perm() != want {
		t.Errorf("%s: mode %04o, want %04o", path, info.Mode().Perm(), want)
	}
}

// umask sets the umask for the rest of a test.
func umask(t *testing.T, mask int) {
	old := syscall.Umask(mask)
	t.Cleanup(func() { syscall.Umask(old) })
}

// A disk without a free byte: no key is made, nothing is left, and once there
// is space the key is made as if nothing had been.
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
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 64<<10), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	if _, err := HostKey(dir); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("host key: %v", err)
	}
	if _, err := ServerTLS(dir, nil); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("tls: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left: %v, %v", entries, err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if _, err := HostKey(dir); err != nil {
		t.Errorf("host key: %v", err)
	}
}

// No secret that others may read, or that is another's, is used.
func TestSecretModes(t *testing.T) {
	for file, load := range map[string]func(string) error{
		hostKeyFile: func(dir string) error { _, err := HostKey(dir); return err },
		tlsKeyFile:  func(dir string) error { _, err := ServerTLS(dir, nil); return err },
	} {
		dir := t.TempDir()
		if err := load(dir); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, file)
		for _, mode := range []os.FileMode{0o640, 0o604, 0o660} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			if err := load(dir); !errors.Is(err, durable.ErrMode) {
				t.Errorf("%s, mode %04o: %v", file, mode, err)
			}
		}
		if err := os.Chmod(path, 0o400); err != nil {
			t.Fatal(err)
		}
		if err := load(dir); err != nil {
			t.Errorf("%s, mode 0400: %v", file, err)
		}
	}
}
