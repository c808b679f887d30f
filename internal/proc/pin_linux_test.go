package proc

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// install puts a copy of this test binary, or content, at path by rename.
func install(t *testing.T, path, content string) {
	t.Helper()
	if content == "" {
		self, err := os.ReadFile("/proc/self/exe")
		if err != nil {
			t.Fatal(err)
		}
		content = string(self)
	}
	if err := os.WriteFile(path+".new", []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestPinnedBinaryStaysTheSame(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app")
	install(t, path, "")
	b, err := Pin(path)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	runsPinned := func(want string) {
		t.Helper()
		c := startCommand(t, NewOS(), Command{Path: b.ExecPath(), Argv: []string{"app"}, Env: []string{roleVariable + "=pinned", atOnce}})
		if got := c.line(t); got != want {
			t.Errorf("child runs %q, want %q", got, want)
		}
	}
	if !b.Current() || b.ExecPath() != path {
		t.Errorf("current %t, exec path %s", b.Current(), b.ExecPath())
	}
	runsPinned(path)

	install(t, path, "#!/bin/sh\necho new\n")
	if b.Current() || !strings.HasPrefix(b.ExecPath(), "/proc/self/fd/") {
		t.Errorf("after a rename over it: current %t, exec path %s", b.Current(), b.ExecPath())
	}
	runsPinned(path + " (deleted)")

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	runsPinned(path + " (deleted)")
	if err := b.Check(); err != nil {
		t.Errorf("a removed file that is pinned: %v", err)
	}
}

// The number of the pinned file's descriptor may be that of one of the child's.
func TestPinnedBinaryStartsWithManyFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app")
	install(t, path, "")
	b, err := Pin(path)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	files := make([]int, b.FD()+40)
	for i := range files {
		files[i] = int(null.Fd())
	}
	before := openFiles(t)
	c := startCommand(t, NewOS(), Command{Path: b.ExecPath(), Argv: []string{"app"}, Env: []string{roleVariable + "=pinned", atOnce}, Files: files})
	if got, want := c.line(t), path+" (deleted)"; got != want {
		t.Errorf("child runs %q, want %q", got, want)
	}
	<-c.Wait()
	if after := openFiles(t); after > before+2 { // our ends of its input and output
		t.Errorf("%d descriptors are open, %d were before", after, before)
	}
}

func TestPinSelf(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path    string
		current bool
	}{{self, true}, {"/bin/sh", false}} {
		b, err := PinSelf(c.path)
		if err != nil {
			t.Fatal(err)
		}
		if b.Current() != c.current || b.Path() != c.path {
			t.Errorf("%s: path %s, current %t, want %t", c.path, b.Path(), b.Current(), c.current)
		}
		child := startCommand(t, NewOS(), Command{Path: b.ExecPath(), Argv: []string{"x"}, Env: []string{roleVariable + "=pinned", atOnce}})
		if got, err := io.ReadAll(child.out); strings.TrimSpace(string(got)) != self || err != nil {
			t.Errorf("%s: child runs %q, %v, want %q", c.path, got, err, self)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if err := b.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("second close: %v", err)
		}
	}
}

// A pin goes on under the number that it has after exec.
func TestPinFD(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app")
	install(t, path, "")
	first, err := Pin(path)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	fd, err := unix.Dup(first.FD()) // as it comes over exec: no CLOEXEC
	if err != nil {
		t.Fatal(err)
	}
	install(t, path, "#!/bin/sh\necho new\n")
	b, err := PinFD(fd, path)
	if err != nil {
		t.Fatal(err)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); flags != unix.FD_CLOEXEC || err != nil || b.FD() != fd {
		t.Errorf("descriptor %d, want %d; flags %d, %v, want FD_CLOEXEC", b.FD(), fd, flags, err)
	}
	same(t, first, b, true)
	c := startCommand(t, NewOS(), Command{Path: b.ExecPath(), Argv: []string{"app"}, Env: []string{roleVariable + "=pinned", atOnce}})
	if got := c.line(t); got != path+" (deleted)" || b.Current() || b.Path() != path {
		t.Errorf("child runs %q; current %t, path %s", got, b.Current(), b.Path())
	}
	next, err := Pin(path)
	if err != nil {
		t.Fatal(err)
	}
	same(t, next, b, false)
	if err := errors.Join(next.Close(), b.Close()); err != nil || b.FD() != -1 {
		t.Errorf("close: %v; descriptor %d, want -1", err, b.FD())
	}
}

func same(t *testing.T, a, b *Binary, want bool) {
	t.Helper()
	aDev, aIno := a.Identity()
	bDev, bIno := b.Identity()
	if got := aDev == bDev && aIno == bIno; got != want {
		t.Errorf("identities (%d, %d) and (%d, %d): same %t, want %t", aDev, aIno, bDev, bIno, got, want)
	}
}

func TestPinFDRefuses(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, w := pipe(t)
	defer r.Close()
	defer w.Close()
	for name, c := range map[string]struct {
		fd   int
		want error
	}{
		"open for reading": {int(file.Fd()), errNotPinned},
		"a pipe":           {int(w.Fd()), errNotPinned},
		"closed":           {-1, unix.EBADF},
	} {
		if b, err := PinFD(c.fd, "/bin/app"); !errors.Is(err, c.want) || b != nil {
			t.Errorf("%s: %v, %v; want %v", name, b, err, c.want)
		}
	}
	if _, err := file.Stat(); err != nil {
		t.Errorf("a descriptor that was refused: %v", err)
	}
}

func TestPinMakesARelativePathAbsolute(t *testing.T) {
	dir := t.TempDir()
	install(t, filepath.Join(dir, "app"), "#!/bin/sh\n")
	t.Chdir(dir)
	b, err := Pin("./app")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	t.Chdir("/")
	if want := filepath.Join(dir, "app"); b.ExecPath() != want {
		t.Errorf("exec path %s, want %s", b.ExecPath(), want)
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name    string
		content string
		mode    os.FileMode
		want    error
	}{
		{"good", "#!/bin/sh\n", 0o755, nil},
		{"only the owner's", "#!/bin/sh\n", 0o500, nil},
		{"empty", "", 0o755, errEmpty},
		{"plain", "text", 0o644, errNotExecutable},
	} {
		path := filepath.Join(dir, c.name)
		if err := os.WriteFile(path, []byte(c.content), c.mode); err != nil {
			t.Fatal(err)
		}
		checkPinned(t, path, c.want)
	}
	checkPinned(t, dir, errNotRegular)
	if _, err := Pin(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("pin of nothing: %v", err)
	}
}

func checkPinned(t *testing.T, path string, want error) {
	t.Helper()
	b, err := Pin(path)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Check(); !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", path, err, want)
	}
}
