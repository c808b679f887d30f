package proc_test

import (
	"bufio"
	"os"
	"syscall"
	"testing"

	"github.com/norestart/norestart/internal/proc"
	"github.com/norestart/norestart/internal/proc/proctest"
)

func TestConform(t *testing.T) {
	o := proc.NewOS()
	start := func(t *testing.T, b proctest.Behaviour) proc.Process { return startBehaviour(t, o, b) }
	proctest.Conform(t, start, func() (proc.Process, error) {
		return o.Start(proc.Command{Path: "/nonexistent/program"})
	})
}

// What an earlier image of this process started, and nobody has reaped.
func TestConformAdoptChild(t *testing.T) {
	o := proc.NewOS()
	proctest.ConformAdopt(t, o, func(t *testing.T, b proctest.Behaviour) proc.Process {
		pid, started, out := proc.ForkBehaviour(t, string(b))
		return adoptBehaviour(t, o, b, pid, started, out)
	})
}

// What an earlier primary started, which is gone, and another process reaps.
func TestConformAdoptForeign(t *testing.T) {
	proc.TellsStatus(t)
	o := proc.NewPatientOS()
	proctest.ConformAdopt(t, o, func(t *testing.T, b proctest.Behaviour) proc.Process {
		w := proc.StartWard(t, string(b))
		defer w.Reap()
		return adoptBehaviour(t, o, b, w.PID, w.Started, w.Out)
	})
}

func adoptBehaviour(t *testing.T, o *proc.OS, b proctest.Behaviour, pid int, started uint64, out *bufio.Reader) proc.Process {
	t.Helper()
	p, err := o.Adopt(pid, started)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Signal(syscall.SIGKILL) })
	awaitReady(t, b, out)
	return p
}

func awaitReady(t *testing.T, b proctest.Behaviour, out *bufio.Reader) {
	t.Helper()
	if b != proctest.Obey && b != proctest.IgnoreTerm {
		return
	}
	if s, err := out.ReadString('\n'); err != nil || s != "ready\n" {
		t.Fatalf("child says %q, %v", s, err)
	}
}

// startBehaviour starts this binary in the role of that name; see TestMain.
func startBehaviour(t *testing.T, o *proc.OS, b proctest.Behaviour) proc.Process {
	t.Helper()
	stdin, hold, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hold.Close(); out.Close() })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.Start(proc.Command{
		Path:  self,
		Argv:  []string{self},
		Env:   []string{"PROC_TEST_ROLE=" + string(b), "GORACE=atexit_sleep_ms=0"},
		Files: []int{int(stdin.Fd()), int(stdout.Fd()), 2},
	})
	stdin.Close()
	stdout.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Signal(syscall.SIGKILL) })
	awaitReady(t, b, bufio.NewReader(out))
	return p
}
