package primary

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/norestart/norestart/internal/proc"
)

// A child that a killed primary was just starting has the lock for a moment,
// whether that primary has been reaped or not.
func TestTheLockOfOneWhoHasGoneIsAwaited(t *testing.T) {
	for name, reaped := range map[string]bool{"reaped": true, "a zombie": false} {
		t.Run(name, func(t *testing.T) { lockOfOneWhoHasGone(t, reaped) })
	}
}

func lockOfOneWhoHasGone(t *testing.T, reaped bool) {
	dir := t.TempDir()
	gone := exec.Command("true")
	must(t, gone.Start())
	if reaped {
		must(t, gone.Wait())
	} else {
		defer func() { _ = gone.Wait() }()
		for !proc.Ended(gone.Process.Pid) {
			time.Sleep(time.Millisecond)
		}
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
