package audit_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/durable"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// nobody is a machine without journald and syslog.
var nobody = []string{}

func open(t *testing.T, path string, opt audit.Options) *audit.Log {
	t.Helper()
	if opt.Sinks == nil {
		opt.Sinks = nobody
	}
	l, err := audit.Open(path, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// users returns the users of all records in a file, which must be whole lines.
func users(t *testing.T, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var names []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var r audit.Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatalf("%s: %v: %q", path, err, lines.Text())
		}
		names = append(names, r.User)
	}
	return names
}

// Several writers, each with its own open file as processes have, rotate and
// write at once: every record is there once, in whole lines, and no number is
// taken twice.
func TestManyWritersRotateOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), audit.FileName)
	const writers, each = 4, 200
	opt := audit.Options{MaxSize: 4 << 10, Keep: 100, Reserve: 4 << 10}
	var wg sync.WaitGroup
	for w := range writers {
		l := open(t, path, opt)
		wg.Go(func() {
			for i := range each {
				if err := l.Append(audit.Record{Event: audit.EventStart, User: fmt.Sprintf("%d-%d", w, i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) < 2 { // how many depends on how long one rotation takes: nobody waits for it
		t.Fatalf("%d files: not rotated, %v", len(files), err)
	}
	seen := map[string]int{}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f, info, err)
		}
		for _, u := range users(t, f) {
			seen[u]++
		}
	}
	for w := range writers {
		for i := range each {
			if u := fmt.Sprintf("%d-%d", w, i); seen[u] != 1 {
				t.Errorf("record %s: %d times", u, seen[u])
			}
		}
	}
}

func TestOldestFilesGo(t *testing.T) {
	path := filepath.Join(t.TempDir(), audit.FileName)
	l := open(t, path, audit.Options{MaxSize: 100, Keep: 2})
	for i := range 5 {
		if err := l.Append(audit.Record{Event: audit.EventEnd, User: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]string{path: "4", path + ".1": "3", path + ".2": "2"} {
		if got := users(t, file); len(got) != 1 || got[0] != want {
			t.Errorf("%s holds %v, want %s", file, got, want)
		}
	}
	if _, err := os.Stat(path + ".3"); err == nil {
		t.Error("a third old file is kept")
	}
}

// logrotate(8) renames the file away, or cuts it short: the next record is in
// the file at the path.
func TestRotatedByOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), audit.FileName)
	l := open(t, path, audit.Options{})
	add := func(user string) {
		t.Helper()
		if err := l.Append(audit.Record{Event: audit.EventEnd, User: user}); err != nil {
			t.Fatal(err)
		}
	}
	add("a")
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	add("b")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	add("c")
	if got := users(t, path); len(got) != 1 || got[0] != "c" {
		t.Errorf("holds %v", got)
	}
	if got := users(t, path+".old"); len(got) != 1 || got[0] != "a" {
		t.Errorf("the old one holds %v", got)
	}
}

// G5: whoever can read or plant the audit log is told at the start.
func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, audit.FileName)
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Open(path, audit.Options{Sinks: nobody}); !errors.Is(err, durable.ErrMode) {
		t.Errorf("a file that others may read: %v", err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("/dev/null", link); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Open(link, audit.Options{Sinks: nobody}); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("a symbolic link: %v", err)
	}
}

// The disk is full: who has logged in finds room in the reserve, strangers do
// not, and the reserve comes back with the space.
func TestReserve(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=128k"); err != nil {
		t.Skipf("run as root with CAP_SYS_ADMIN to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(dir, audit.FileName)
	l := open(t, path, audit.Options{Reserve: 16 << 10})
	user := audit.Record{Event: audit.EventStart, User: "viola", Argv: []string{strings.Repeat("x", 500)}}
	stranger := audit.Record{Event: audit.EventRefused, User: "mallory", Reason: strings.Repeat("x", 500)}
	must(t, l.Append(user))
	fill(t, filepath.Join(dir, "ballast"))
	for i := 0; ; i++ { // up to the end of what is set aside
		if err := l.Append(stranger); err != nil {
			break
		}
		if i > 100 {
			t.Fatal("strangers write on a full disk")
		}
	}
	for range 20 {
		must(t, l.Append(user))
	}
	if err := l.Append(stranger); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("a stranger writes into the reserve: %v", err)
	}
	must(t, os.Remove(filepath.Join(dir, "ballast")))
	must(t, l.Append(stranger))
	_ = users(t, path)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fill writes until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); err != nil {
			return
		}
	}
}

// A listener gets a copy, and one that takes nothing delays no record.
func TestCopies(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "socket")
	ln, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	must(t, err)
	defer ln.Close()
	l := open(t, filepath.Join(dir, audit.FileName), audit.Options{Sinks: []string{filepath.Join(dir, "none"), socket}})
	for i := range 2000 { // many more than a queue of datagrams holds (net.unix.max_dgram_qlen)
		must(t, l.Append(audit.Record{Event: audit.EventDenied, User: fmt.Sprint(i)}))
	}
	must(t, ln.SetReadDeadline(time.Now().Add(10*time.Second)))
	buf := make([]byte, 4096)
	n, err := ln.Read(buf)
	must(t, err)
	for _, want := range []string{"SYSLOG_IDENTIFIER=norestart\n", "PRIORITY=4\n", `MESSAGE={"time":`, `"user":"0"`} {
		if !strings.Contains(string(buf[:n]), want) {
			t.Errorf("no %q in %q", want, buf[:n])
		}
	}
	if got := len(users(t, filepath.Join(dir, audit.FileName))); got != 2000 {
		t.Errorf("%d records in the file", got)
	}
}
