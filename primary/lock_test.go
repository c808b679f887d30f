package primary

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// A child that a killed primary was just starting has the lock for a moment.
func TestTheLockOfOneWhoHasGoneIsAwaited(t *testing.T) {
	dir := t.TempDir()
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	child, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := child.WriteString(strconv.Itoa(gone.Process.Pid) + "\n"); err != nil {
		t.Fatal(err)
	}
	if err := lock(child); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { child.Close() })
	f, err := takeState(Config{State: dir, PID: os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := takeState(Config{State: dir, PID: os.Getpid()}); err == nil {
		t.Error("the lock of one who lives was taken")
	}
}
