package certs

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"go.uber.org/goleak"

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

// No secret that others may read, or that is another's, is used.
func TestSecretModes(t *testing.T) {
	for file, load := range map[string]func(string) error{
		hostKeyFile: func(dir string) error { _, err := HostKey(dir); return err },
		tlsKeyFile:  func(dir string) error { _, err := Server{Dir: dir}.Config(); return err },
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
