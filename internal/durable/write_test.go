package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/internal/durable"
)

func TestWriteFileReplacesWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, want := range []string{"a longer first text", "short", ""} {
		if err := durable.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Fatalf("read %q, %v; want %q", got, err, want)
		}
	}
	wantOnly(t, filepath.Dir(path), "f")
}

func TestWriteFileKeepsLink(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(real, []byte("old"), 0o600), os.Symlink("real", link)); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(link, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(real); err != nil || string(got) != "new" {
		t.Errorf("the target has %q, %v", got, err)
	}
	if to, err := os.Readlink(link); err != nil || to != "real" {
		t.Errorf("the link leads to %q, %v", to, err)
	}
}

func TestWriteFileErrors(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(
		os.Symlink("nowhere", filepath.Join(dir, "dangling")),
		os.Mkdir(filepath.Join(dir, "directory"), 0o700),
	); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"missing/f", "dangling", "directory"} {
		if err := durable.WriteFile(filepath.Join(dir, path), []byte("x"), 0o600); err == nil {
			t.Errorf("%s: no error", path)
		}
	}
	wantOnly(t, dir, "dangling", "directory")
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"key", "key.tmp-1", ".key.tmp-123", ".key.tmp-4", ".other.tmp-123", ".key.new"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := durable.Sweep(filepath.Join(dir, "key")); err != nil {
		t.Error(err)
	}
	wantOnly(t, dir, ".key.new", ".other.tmp-123", "key", "key.tmp-1")
	if err := durable.Sweep(filepath.Join(dir, "missing", "key")); err == nil {
		t.Error("no directory, no error")
	}
}

func TestCreateFileOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	var wg sync.WaitGroup
	results := make([]error, 8)
	for i := range results {
		wg.Go(func() { results[i] = durable.CreateFile(path, []byte{byte(i)}, 0o600) })
	}
	wg.Wait()
	winner := -1
	for i, err := range results {
		switch {
		case err == nil && winner < 0:
			winner = i
		case err == nil:
			t.Errorf("%d and %d both created it", winner, i)
		case !errors.Is(err, fs.ErrExist):
			t.Errorf("%d: %v", i, err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || winner < 0 || len(got) != 1 || int(got[0]) != winner {
		t.Errorf("%d won and the file has %v, %v", winner, got, err)
	}
	wantOnly(t, dir, "key")
}

// wantOnly fails when dir holds anything but these names.
func wantOnly(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff(names, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}
