package harness

import (
	"os/exec"
	"testing"
)

// TestClear: what carries the script's directory is found and killed, children
// that were left by their parents too; nobody else is.
func TestClear(t *testing.T) {
	work := t.TempDir()
	start := func(env string) *exec.Cmd {
		cmd := exec.Command("/bin/sh", "-c", "tail -f /dev/null & wait")
		cmd.Env = []string{"PATH=/usr/bin:/bin", env}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	ours, other := start("WORK="+work), start("WORK="+work+"-other")
	if left, err := Clear("WORK=" + work); err != nil || len(left) == 0 {
		t.Errorf("Clear: %v, %v: want what was left", left, err)
	}
	if err := ours.Wait(); err == nil {
		t.Error("our process ended by itself")
	}
	if !Alive(other.Process.Pid) {
		t.Error("another's process was killed")
	}
	if left, err := Tagged("WORK=" + work); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
	if _, err := Clear("WORK=" + work + "-other"); err != nil {
		t.Error(err)
	}
	_ = other.Wait() // it was killed
}
