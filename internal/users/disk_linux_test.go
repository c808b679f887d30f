package users

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/durable"
)

func TestEdit(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	add := func(f *File) error { return f.Add(User{Name: "ann", Role: "admin"}) }
	if err := Edit(path, anyKey, add); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	f, err := Read(path, anyKey)
	if err != nil {
		t.Fatal(err)
	}
	if u, ok := f.Lookup("ann"); !ok || u.Role != "admin" {
		t.Errorf("%+v", f.Users())
	}
	if err := Edit(path, anyKey, add); err == nil {
		t.Error("ann was added twice")
	}
	if after, err := os.Stat(path); err != nil || !durable.Same(info, after) {
		t.Errorf("an edit that failed has written: %v", err)
	}
}

func TestEditRefusesReadable(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	write(t, path, sample, 0o644)
	err := Edit(path, anyKey, func(*File) error { t.Error("called"); return nil })
	if !errors.Is(err, durable.ErrMode) {
		t.Errorf("got %v", err)
	}
}

// Each edit holds the lock of its own open file, as those of two processes do.
func TestEditsAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	var wg sync.WaitGroup
	const count = 8
	for i := range count {
		wg.Go(func() {
			u := User{Name: fmt.Sprintf("u%d", i), Role: "viewer"}
			if err := Edit(path, anyKey, func(f *File) error { return f.Add(u) }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	f, err := Read(path, anyKey)
	if err != nil || len(f.Users()) != count {
		t.Errorf("%d users of %d, %v", len(f.Users()), count, err)
	}
}

func TestEditDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=16k"); err != nil {
		t.Skipf("run as root with CAP_SYS_ADMIN to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(dir, FileName)
	write(t, path, sample, 0o600)
	keys := make([]string, 20)
	for i := range keys {
		keys[i] = "ssh-" + strings.Repeat("x", 1000)
	}
	err := Edit(path, anyKey, func(f *File) error { return f.Add(User{Name: "bob", Role: "viewer", Keys: keys}) })
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), path+": no space left on device; nothing was changed") {
		t.Errorf("got %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != sample {
		t.Errorf("the old file has %q, %v", text, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 { // and the lock
		t.Errorf("left: %v, %v", entries, err)
	}
}
