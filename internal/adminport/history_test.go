package adminport

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/builtin"
)

func TestHistory(t *testing.T) {
	h := (&histories{}).of("viola")
	for _, line := range []string{"status", "status", "", "  ", " secret", "reload", "two\nlines"} {
		h.keep(line)
	}
	if diff := cmp.Diff([]string{"status", "reload"}, h.list()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for i := range 3 * maxHistory {
		h.keep(strconv.Itoa(i))
	}
	if n := len(h.list()); n != maxHistory {
		t.Errorf("%d lines are kept", n)
	}
}

// Several processes keep the lines of one user in one file.
func TestHistoryIsShared(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "history")
	one, other := (&histories{dir: dir}).of("../viola"), (&histories{dir: dir}).of("../viola")
	one.keep("status")
	other.keep("reload")
	if diff := cmp.Diff([]string{"status", "reload"}, one.list()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var both sync.WaitGroup
	for i, h := range []*history{one, other} {
		both.Go(func() {
			for n := range 100 {
				h.keep(strings.Repeat("x", 100) + strconv.Itoa(1000*i+n))
			}
		})
	}
	both.Wait()
	if diff := cmp.Diff(one.list(), other.list()); diff != "" || len(one.list()) != 202 {
		t.Errorf("%d lines:\n%s", len(one.list()), diff)
	}
	for n := range 3 * maxHistory {
		one.keep(strconv.Itoa(n))
	}
	file := filepath.Join(dir, "%2e%2e%2fviola")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 || info.Size() > 64<<10 {
		t.Errorf("%v, %d bytes", info.Mode(), info.Size())
	}
	if n := len(other.list()); n != maxHistory {
		t.Errorf("the other process sees %d lines", n)
	}
}

// A file that others may read, or a directory that cannot be made, costs the
// past and nothing else.
func TestHistoryWithoutItsFile(t *testing.T) {
	dir := t.TempDir()
	var told []string
	complain := func(string, ...any) { told = append(told, "told") }
	if err := os.WriteFile(filepath.Join(dir, "viola"), []byte("stop --yes\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "viola"), 0o644); err != nil {
		t.Fatal(err)
	}
	h := (&histories{dir: dir, complain: complain}).of("viola")
	if n := len(h.list()); n != 0 || len(told) != 1 {
		t.Errorf("%d lines, told %d times", n, len(told))
	}
	h.keep("status")
	if kept, err := os.ReadFile(filepath.Join(dir, "viola")); err != nil || string(kept) != "stop --yes\n" {
		t.Errorf("what could not be read was written over: %q, %v", kept, err)
	}
	told = nil
	gone := (&histories{dir: filepath.Join(dir, "a", "b"), complain: complain}).of("viola")
	gone.keep("status")
	gone.keep("reload")
	if n := len(gone.list()); n != 2 || len(told) != 1 {
		t.Errorf("%d lines, told %d times", n, len(told))
	}
}

// TestReservedWords: a command of a file is refused before the admin port opens if
// a command of the session has its name.
func TestReservedWords(t *testing.T) {
	for _, c := range sessionCommands([]commands.Command{{Name: "clear"}, {Name: "quit"}}) {
		if !c.Hidden && !slices.Contains(builtin.Reserved(), c.Name) {
			t.Errorf("%s may be the name of a command of the application", c.Name)
		}
	}
}
