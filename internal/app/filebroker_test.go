package app

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/ipc"
)

// A record that a shell worker sends is on the log as if it had written it; what
// is no record, or too long to be one, is not.
func TestRecorder(t *testing.T) {
	r := recorder{path: filepath.Join(t.TempDir(), audit.FileName)}
	status, took := 77, 0.25
	want := audit.Record{
		Event: audit.EventEnd, Via: "ssh", Session: "3dd22735", User: "viola", From: "192.0.2.1:4711",
		Role: "operator", Argv: []string{"worker", "stop", "web/1\n"}, Status: &status, Duration: &took,
	}
	body, err := ipc.Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.append(body); err != nil {
		t.Fatal(err)
	}
	long, err := ipc.Encode(audit.Record{Line: strings.Repeat("x", maxRecord)})
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{"no record": []byte("{}\n"), "nothing": nil, "too long": long} {
		if err := r.append(bad); err == nil {
			t.Errorf("%s: on the log", name)
		}
	}
	text, err := os.ReadFile(r.path)
	if err != nil || strings.Count(string(text), "\n") != 1 {
		t.Fatalf("%q, %v", text, err)
	}
	var got audit.Record
	if err := json.Unmarshal(text, &got); err != nil || got.Time.IsZero() {
		t.Errorf("%s: %v", text, err)
	}
	got.Time = want.Time
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	if err := r.log.Close(); err != nil {
		t.Error(err)
	}
}

func TestOwnDirectoryRefuses(t *testing.T) {
	dir := t.TempDir()
	file, open, link := filepath.Join(dir, "file"), filepath.Join(dir, "open"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Mkdir(open, 0o755), os.Chmod(open, 0o755), os.Symlink(open, link)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, open, link} {
		if err := makeDirectory(path, nil); err == nil {
			t.Errorf("%s: taken", path)
		}
	}
}

// The previous owner may have left names in the directory that lead to files
// elsewhere.
func TestGiveAway(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("run as root to give files away")
	}
	dir := t.TempDir()
	own, secret, linked := filepath.Join(dir, "own"), filepath.Join(dir, "secret"), filepath.Join(dir, "linked")
	first := &control.Identity{UID: 4711, GID: 4711}
	if err := makeDirectory(own, first); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		os.WriteFile(secret, nil, 0o600), os.WriteFile(linked, nil, 0o600), os.Mkdir(filepath.Join(own, "history"), 0o700),
		os.WriteFile(filepath.Join(own, "history", "viola"), nil, 0o600),
		os.Symlink(secret, filepath.Join(own, "symbolic")), os.Symlink(dir, filepath.Join(own, "out")), os.Link(linked, filepath.Join(own, "hard")),
	); err != nil {
		t.Fatal(err)
	}
	if err := makeDirectory(own, &control.Identity{UID: 4712, GID: 4712}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]uint32{
		own: 4712, filepath.Join(own, "history"): 4712, filepath.Join(own, "history", "viola"): 4712,
		secret: 0, linked: 0, dir: 0,
	} {
		if info, err := os.Stat(path); err != nil || ownerOf(info) != (owner{want, want}) {
			t.Errorf("%s: %v, %v; want %d", path, ownerOf(info), err, want)
		}
	}
	for _, name := range []string{"symbolic", "out", "hard"} { // the user of now would follow them
		if _, err := os.Lstat(filepath.Join(own, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, still there", name, err)
		}
	}
	if err := makeDirectory(own, nil); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(own); err != nil || ownerOf(info).uid != 0 {
		t.Errorf("taken back: %v, %v", ownerOf(info), err)
	}
}
