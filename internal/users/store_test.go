package users

import (
	"errors"
	"os"
	"path/filepath"
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
	base := map[string]User{"admin": {Role: "admin", Password: phc256}}
	s, err := Open(path, base, anyKey)
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

func wantNames(t *testing.T, s *Store, names ...string) {
	t.Helper()
	if diff := cmp.Diff(names, s.Names()); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestStoreFollowsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	s := open(t, path)
	wantNames(t, s, "admin")
	reload(t, s, false, "")

	write(t, path, sample, 0o600)
	reload(t, s, true, "")
	wantNames(t, s, "admin", "ann", "ci.bot", "viola")

	write(t, path, "[user.admin]\nrole = 'viewer'\n", 0o600)
	reload(t, s, true, "")
	if u, ok := s.Lookup("admin"); !ok || u.Role != "viewer" || u.Password != "" {
		t.Errorf("the file's admin does not replace the application's: %+v", u)
	}
	if _, ok := s.Lookup("viola"); ok {
		t.Error("viola is still there")
	}

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	reload(t, s, true, "")
	if u, _ := s.Lookup("admin"); u.Role != "admin" {
		t.Errorf("the application's admin is not back: %+v", u)
	}
}

func TestStoreKeepsUsersOfBrokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	write(t, path, sample, 0o600)
	s := open(t, path)
	all := s.Names()

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
	wantNames(t, s, "admin", "viola")
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
	wantNames(t, s, "admin", "bob")
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
	wantNames(t, s, "admin", "ann", "ci.bot", "viola")
	write(t, filepath.Join(aside, FileName), "", 0o600)
	if err := errors.Join(os.Remove(loop), os.Rename(aside, loop)); err != nil {
		t.Fatal(err)
	}
	reload(t, s, true, "")
	wantNames(t, s, "admin")
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	good, readable, broken := filepath.Join(dir, "good"), filepath.Join(dir, "readable"), filepath.Join(dir, "broken")
	write(t, good, sample, 0o600)
	write(t, readable, sample, 0o640)
	write(t, broken, "[user", 0o600)
	for _, test := range []struct {
		path, want string
		base       map[string]User
	}{
		{good, "raw md5 digest", map[string]User{"admin": {Role: "admin", Password: strings.Repeat("0a", 16)}}},
		{good, "no role", map[string]User{"admin": {Password: phc256}}},
		{good, "user name", map[string]User{"Admin": {Role: "admin"}}},
		{readable, readable + ": mode 0640", nil},
		{broken, broken + ":1: ", nil},
		{dir, "not a regular file", nil},
	} {
		s, err := Open(test.path, test.base, anyKey)
		if err == nil || s != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", filepath.Base(test.path), err, test.want)
		}
	}
	if _, err := Open(readable, nil, anyKey); !errors.Is(err, durable.ErrMode) {
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
