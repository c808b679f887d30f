package adminport

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Two processes count into one file; what was shown is over for both.
func TestAttemptsAreShared(t *testing.T) {
	path := filepath.Join(t.TempDir(), "failed-logins.json")
	quiet := func(string, ...any) {}
	one, two := newFailedLogins(path, quiet), newFailedLogins(path, quiet)
	for range 3 {
		one.count("admin", "192.0.2.66:1")
	}
	two.count("admin", "192.0.2.67:2")
	for _, a := range []*failedLogins{one, two} {
		if err := a.sync(); err != nil {
			t.Fatal(err)
		}
	}
	got, some := one.show("admin")
	if !some || got.Failed != 4 || got.From != "192.0.2.67:2" {
		t.Errorf("%+v, want 4", got)
	}
	if got, some := one.show("admin"); some {
		t.Errorf("told twice: %+v", got)
	}
	if err := one.sync(); err != nil {
		t.Fatal(err)
	}
	if got, some := two.show("admin"); some {
		t.Errorf("told twice, by another process: %+v", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// What cannot be written is kept, and a broken file is begun anew.
func TestAttemptsOutliveTrouble(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sub", "failed-logins.json")
	a := newFailedLogins(path, func(string, ...any) {})
	a.count("admin", "192.0.2.66:1")
	if err := a.sync(); err == nil {
		t.Error("written into a directory that is not there")
	}
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.sync(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a broken file: %v", err)
	}
	if got, some := newFailedLogins(path, a.logf).show("admin"); !some || got.Failed != 1 {
		t.Errorf("%+v", got)
	}
}

func TestAttemptsAreBounded(t *testing.T) {
	a := newFailedLogins("", nil)
	for i := range 2 * maxAttempts {
		a.count(strings.Repeat("x", i), "192.0.2.66:1")
	}
	if len(a.news) != maxAttempts {
		t.Errorf("%d users", len(a.news))
	}
}
