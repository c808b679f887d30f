package users

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/internal/durable"
)

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := errors.Join(os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(durable.Disk{}, path, anyKey)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// reload wants an outcome of Reload, and then that a second one has nothing to
// say.
func reload(t *testing.T, s *Store, wantChanged bool, wantErr string) {
	t.Helper()
	changed, err := s.Reload()
	if changed != wantChanged || (err == nil) != (wantErr == "") || err != nil && !strings.Contains(err.Error(), wantErr) {
		t.Errorf("reload: %v, %v; want %v, %q", changed, err, wantChanged, wantErr)
	}
	if changed, err := s.Reload(); changed || err != nil {
		t.Errorf("and again: %v, %v", changed, err)
	}
}

func names(s *Store) []string { return slices.Sorted(maps.Keys(s.current.Load().users)) }

func wantNames(t *testing.T, s *Store, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, names(s)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestStoreFollowsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	s := open(t, path)
	wantNames(t, s)
	reload(t, s, false, "")

	write(t, path, sample, 0o600)
	reload(t, s, true, "")
	wantNames(t, s, "ann", "ci.bot", "viola")

	write(t, path, "[user.ann]\nrole = 'viewer'\n", 0o600)
	reload(t, s, true, "")
	if u, ok := s.Lookup("ann"); !ok || u.Role != "viewer" || u.Password != "" {
		t.Errorf("the file's new ann does not replace the old one: %+v", u)
	}
	if _, ok := s.Lookup("viola"); ok {
		t.Error("viola is still there")
	}

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	reload(t, s, true, "")
	wantNames(t, s)
}

func TestStoreKeepsUsersOfBrokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	write(t, path, sample, 0o600)
	s := open(t, path)
	all := names(s)

	write(t, path, "[user.viola]\nrole = 'root'\n", 0o600)
	reload(t, s, false, "users.toml:2: user viola: role: unknown role")
	wantNames(t, s, all...)

	write(t, path, "[user.viola]\nrole = 'viewer'\n", 0o644)
	reload(t, s, false, "users.toml: mode 0644, must be 0600: chmod 600")
	wantNames(t, s, all...)

	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reload(t, s, true, "")
	wantNames(t, s, "viola")
}

// Only the time of a change differs, as after an edit by hand of one letter.
func TestStoreSeesChangeOfSameSize(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	write(t, path, "[user.ann]\nrole = 'admin'\n", 0o600)
	s := open(t, path)
	write(t, path, "[user.bob]\nrole = 'admin'\n", 0o600)
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	reload(t, s, true, "")
	wantNames(t, s, "bob")
}

// A file that was touched has the same users.
func TestStoreTouched(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	write(t, path, sample, 0o600)
	s := open(t, path)
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	reload(t, s, false, "")
}

// What keeps the file from being read (here its directory, elsewhere no
// descriptor left) may pass without a change of the file.
func TestStoreRetriesUnreadable(t *testing.T) {
	dir := t.TempDir()
	loop := filepath.Join(dir, "state")
	path := filepath.Join(loop, FileName)
	if err := os.Mkdir(loop, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, path, sample, 0o600)
	s := open(t, path)
	aside := filepath.Join(dir, "aside")
	if err := errors.Join(os.Rename(loop, aside), os.Symlink("state", loop)); err != nil {
		t.Fatal(err)
	}
	reload(t, s, false, syscall.ELOOP.Error())
	wantNames(t, s, "ann", "ci.bot", "viola")
	write(t, filepath.Join(aside, FileName), "", 0o600)
	if err := errors.Join(os.Remove(loop), os.Rename(aside, loop)); err != nil {
		t.Fatal(err)
	}
	reload(t, s, true, "")
	wantNames(t, s)
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	readable, broken := filepath.Join(dir, "readable"), filepath.Join(dir, "broken")
	write(t, readable, sample, 0o640)
	write(t, broken, "[user", 0o600)
	for _, test := range []struct {
		path, want string
	}{
		{readable, readable + ": mode 0640"},
		{broken, broken + ":1: "},
		{dir, "not a regular file"},
	} {
		s, err := Open(durable.Disk{}, test.path, anyKey)
		if err == nil || s != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", filepath.Base(test.path), err, test.want)
		}
	}
	if _, err := Open(durable.Disk{}, readable, anyKey); !errors.Is(err, durable.ErrMode) {
		t.Errorf("not ErrMode: %v", err)
	}
}

// What a caller does with a user must not change the store's.
func TestLookupCopies(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	write(t, path, sample, 0o600)
	s := open(t, path)
	u, _ := s.Lookup("viola")
	u.Keys[0] = "ssh-ed25519 mallory"
	if again, _ := s.Lookup("viola"); again.Keys[0] == u.Keys[0] {
		t.Error("the store's user changed")
	}
}

// slowFiles answer one look after the other, when they are told to.
type slowFiles struct {
	durable.Disk
	looks chan chan struct{}
}

func (f slowFiles) Stat(path string) (fs.FileInfo, error) {
	if f.looks != nil {
		answer := make(chan struct{})
		f.looks <- answer
		<-answer
	}
	return f.Disk.Stat(path)
}

// A slow Stat must not delay a login: Lookup and a second Reload answer meanwhile.
func TestReloadWaitsForItself(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.toml")
	files := &slowFiles{}
	s, err := Open(files, path, anyKey)
	if err != nil {
		t.Fatal(err)
	}
	files.looks = make(chan chan struct{})
	done := make(chan error, 2)
	reload := func() { _, err := s.Reload(); done <- err }
	go reload()
	first := <-files.looks
	go reload()
	close(<-files.looks) // the second one asks although the first has no answer
	if err := <-done; err != nil {
		t.Error(err)
	}
	close(first)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
