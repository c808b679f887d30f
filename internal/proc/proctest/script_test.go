package proctest_test

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/norestart/norestart/internal/proc"
	"github.com/norestart/norestart/internal/proc/proctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// behave lets a process do what its path names.
func behave(p *proctest.Process) {
	switch proctest.Behaviour(p.Command.Path) {
	case proctest.ExitThree:
		p.Exit(3)
	case proctest.Abort:
		p.Kill(syscall.SIGABRT)
	case proctest.Obey:
		p.Obey(syscall.SIGTERM)
	}
}

func TestConform(t *testing.T) {
	script := proctest.New()
	script.OnStart = behave
	start := func(t *testing.T, b proctest.Behaviour) proc.Process {
		p, err := script.Start(proc.Command{Path: string(b)})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	proctest.Conform(t, start, func() (proc.Process, error) {
		script.FailNext(syscall.ENOENT)
		return script.Start(proc.Command{Path: "missing"})
	})
}

func TestConformAdopt(t *testing.T) {
	script := proctest.New()
	proctest.ConformAdopt(t, script, func(t *testing.T, b proctest.Behaviour) proc.Process {
		first, err := script.Start(proc.Command{Path: string(b)})
		if err != nil {
			t.Fatal(err)
		}
		behave(first.(*proctest.Process))
		p, err := script.Adopt(first.PID(), first.StartTime())
		if err != nil {
			t.Fatal(err)
		}
		return p
	})
}

func TestAdoptedIsTheSameProcess(t *testing.T) {
	script := proctest.New()
	script.OnStart = func(p *proctest.Process) { p.Obey(syscall.SIGTERM) }
	first, err := script.Start(proc.Command{Path: "web"})
	if err != nil {
		t.Fatal(err)
	}
	second, err := script.Adopt(first.PID(), first.StartTime())
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	zombie, err := script.Adopt(first.PID(), first.StartTime())
	if err != nil {
		t.Fatalf("a zombie: %v", err)
	}
	for i, p := range []proc.Process{first, second, zombie} {
		if e := proctest.Await(t, p); e.Signal != syscall.SIGTERM {
			t.Errorf("owner %d sees %+v, want SIGTERM", i, e)
		}
		if _, err := script.Adopt(first.PID(), first.StartTime()); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("adopted after owner %d has reaped it: %v", i, err)
		}
	}
	if got := len(script.Processes()); got != 1 {
		t.Errorf("%d processes, want 1", got)
	}
}

func TestVanish(t *testing.T) {
	p, err := proctest.New().Start(proc.Command{})
	if err != nil {
		t.Fatal(err)
	}
	p.(*proctest.Process).Vanish()
	if e := <-p.Wait(); !e.Unknown || e.Code != -1 || e.Signal != 0 {
		t.Errorf("exit %+v, want an unknown one", e)
	}
}

func TestScriptKeepsBooks(t *testing.T) {
	script := proctest.New()
	for _, err := range []error{syscall.EAGAIN, syscall.ETXTBSY} {
		script.FailNext(err)
	}
	for _, want := range []error{syscall.EAGAIN, syscall.ETXTBSY, nil, nil} {
		if _, err := script.Start(proc.Command{Path: "web"}); !errors.Is(err, want) {
			t.Errorf("start: %v, want %v", err, want)
		}
	}
	first := script.Processes()[0]
	for _, sig := range []syscall.Signal{syscall.SIGHUP, 0, syscall.SIGTERM} {
		if err := first.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	want := []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM}
	if diff := cmp.Diff(want, first.Signals()); diff != "" {
		t.Errorf("signals (-want +got):\n%s", diff)
	}
	first.Exit(0)
	first.Exit(1) // too late
	if e := <-first.Wait(); e.Code != 0 {
		t.Errorf("code %d, want 0", e.Code)
	}
	if got := script.Running(); len(got) != 1 || got[0] == first {
		t.Errorf("%d are running, want the second alone", len(got))
	}
}

func TestScriptUsesTheBubblesClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := proctest.New().Start(proc.Command{})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		time.AfterFunc(time.Hour, func() { p.(*proctest.Process).Exit(0) })
		if e := <-p.Wait(); e.At.Sub(start) != time.Hour {
			t.Errorf("ended after %v, want 1h", e.At.Sub(start))
		}
	})
}
