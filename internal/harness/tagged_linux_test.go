package harness

import (
	"os/exec"
	"slices"
	"testing"
)

// TestOursAlone: a process with the variable is found and killed, and no other.
func TestOursAlone(t *testing.T) {
	const ours = "TAGGED_TEST=one"
	start := func(variable string) *exec.Cmd {
		cmd := exec.Command("/usr/bin/tail", "-f", "/dev/null")
		cmd.Env = []string{variable}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }) // the test may have done both
		return cmd
	}
	mine, other := start(ours), start(ours+"-other")
	all, err := Tagged(ours)
	if err != nil || len(all) != 1 || all[0].PID != mine.Process.Pid || all[0].Command != "/usr/bin/tail -f /dev/null" {
		t.Fatalf("found %v, %v: want process %d", all, err, mine.Process.Pid)
	}
	if all, err = Tagged(ours + "-other"); err != nil || !slices.ContainsFunc(all, func(p Process) bool { return p.PID == other.Process.Pid }) {
		t.Errorf("found %v, %v: want process %d", all, err, other.Process.Pid)
	}
	Kill(other.Process.Pid, ours)
	if !Has(other.Process.Pid, ours+"-other") {
		t.Error("another's process was killed")
	}
	Kill(mine.Process.Pid, ours)
	if err := mine.Wait(); err == nil {
		t.Error("ours ended by itself")
	}
}
