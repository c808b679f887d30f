package certs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/norestart/norestart/internal/durable"
)

// A host key that has gone comes back as it was, the rotated one too; a file that
// cannot be used is neither kept nor replaced.
func TestKeeper(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, hostKeyFile)
	var said []string
	k := keeper{path: path, say: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }}
	k.look() // nothing is there, and nothing is made
	first, err := HostKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	check := func(want []byte) {
		t.Helper()
		k.look()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		k.look()
		got, err := loadHostKey(durable.Disk{}, path)
		if err != nil || !bytes.Equal(got.PublicKey().Marshal(), want) {
			t.Errorf("another key, or none: %v", err)
		}
	}
	check(first.PublicKey().Marshal())
	second, err := RotateHostKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	check(second.Marshal())
	if err := os.WriteFile(path, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	k.look()
	if text, err := os.ReadFile(path); err != nil || string(text) != "broken" {
		t.Errorf("a file of somebody else was replaced: %q, %v", text, err)
	}
	check(second.Marshal())
	if len(said) != 3 || !strings.HasSuffix(said[0], "was gone: it is written again") {
		t.Errorf("said %q", said)
	}
}

// Where it cannot be written, that is said once.
func TestKeeperWithoutDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := HostKey(dir); err != nil {
		t.Fatal(err)
	}
	said := 0
	k := keeper{path: filepath.Join(dir, hostKeyFile), say: func(string, ...any) { said++ }}
	k.look()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	k.look()
	k.look()
	if said != 1 {
		t.Errorf("said %d times", said)
	}
}
