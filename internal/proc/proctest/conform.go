package proctest

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/norestart/norestart/internal/proc"
)

// Behaviour is what a process of the conformance test does.
type Behaviour string

// The behaviours.
const (
	ExitThree  Behaviour = "exit 3"      // exits with status 3 at once
	Abort      Behaviour = "abort"       // ends itself by SIGABRT at once
	Obey       Behaviour = "obey"        // runs until a signal ends it
	IgnoreTerm Behaviour = "ignore term" // the same, but ignores SIGTERM
)

// patience is how long anything in these tests may take before it has failed.
const patience = time.Minute

// Conform checks that a starter does what [proc.Starter] and [proc.Process]
// say. start returns a process that behaves as asked and is ready to be
// signalled; missing is a command whose start fails with ENOENT.
func Conform(t *testing.T, start func(*testing.T, Behaviour) proc.Process, missing func() (proc.Process, error)) {
	t.Run("exits", func(t *testing.T) { conformExits(t, start) })
	t.Run("term is ignored", func(t *testing.T) { conformIgnored(t, start) })
	t.Run("ended", func(t *testing.T) { conformEnded(t, start) })
	t.Run("identity", func(t *testing.T) { conformIdentity(t, start) })
	t.Run("missing", func(t *testing.T) {
		if p, err := missing(); !errors.Is(err, syscall.ENOENT) || p != nil {
			t.Fatalf("start of what is not there: %v, %v; want ENOENT", p, err)
		}
	})
}

// ConformAdopt checks that an adopter does what [proc.Adopter] says. adopt
// makes it adopt a process that behaves as asked and whose exit status can be
// found out.
func ConformAdopt(t *testing.T, a proc.Adopter, adopt func(*testing.T, Behaviour) proc.Process) {
	t.Run("exits", func(t *testing.T) { conformExits(t, adopt) })
	t.Run("term is ignored", func(t *testing.T) { conformIgnored(t, adopt) })
	t.Run("ended", func(t *testing.T) { conformEnded(t, adopt) })
	t.Run("identity", func(t *testing.T) { conformIdentity(t, adopt) })
	t.Run("another", func(t *testing.T) { conformAnother(t, a, adopt) })
}

// conformAnother adopts with the right pid and the start time of another
// process.
func conformAnother(t *testing.T, a proc.Adopter, adopt func(*testing.T, Behaviour) proc.Process) {
	p := adopt(t, Obey)
	refused := func(when string, pid int, startTime uint64) {
		t.Helper()
		if q, err := a.Adopt(pid, startTime); !errors.Is(err, os.ErrProcessDone) || q != nil {
			t.Errorf("%s, adopt: %v, %v; want ErrProcessDone", when, q, err)
		}
	}
	refused("started later", p.PID(), p.StartTime()-1)
	refused("started before", p.PID(), p.StartTime()+1)
	refused("above the highest pid", 1<<30, 1)
	send(t, p, syscall.SIGKILL)
	Await(t, p)
	refused("reaped", p.PID(), p.StartTime())
}

func conformExits(t *testing.T, start func(*testing.T, Behaviour) proc.Process) {
	for _, c := range []struct {
		name      string
		behaviour Behaviour
		send      syscall.Signal
		code      int
		signal    syscall.Signal
	}{
		{"by itself", ExitThree, 0, 3, 0},
		{"by its own signal", Abort, 0, -1, syscall.SIGABRT},
		{"by TERM", Obey, syscall.SIGTERM, -1, syscall.SIGTERM},
		{"by KILL", Obey, syscall.SIGKILL, -1, syscall.SIGKILL},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := time.Now()
			p := start(t, c.behaviour)
			if c.send != 0 {
				send(t, p, c.send)
			}
			e := Await(t, p)
			if e.Code != c.code || e.Signal != c.signal || e.Unknown {
				t.Errorf("ended with %+v; want code %d, signal %v", e, c.code, c.signal)
			}
			if e.At.Before(before) || e.At.After(time.Now()) {
				t.Errorf("ended at %v, which is not between %v and now", e.At, before)
			}
		})
	}
}

func conformIgnored(t *testing.T, start func(*testing.T, Behaviour) proc.Process) {
	p := start(t, IgnoreTerm)
	send(t, p, syscall.SIGTERM)
	send(t, p, syscall.SIGKILL)
	if e := Await(t, p); e.Signal != syscall.SIGKILL {
		t.Errorf("ended by %v, want SIGKILL, since it ignores SIGTERM", e.Signal)
	}
}

func conformEnded(t *testing.T, start func(*testing.T, Behaviour) proc.Process) {
	p := start(t, ExitThree)
	Await(t, p)
	if e, open := <-p.Wait(); open {
		t.Errorf("a second exit %v came", e)
	}
	if err := p.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal after the end: %v, want ErrProcessDone", err)
	}
	if _, err := p.Usage(); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("usage after the end: %v, want ErrProcessDone", err)
	}
}

func conformIdentity(t *testing.T, start func(*testing.T, Behaviour) proc.Process) {
	p, q := start(t, Obey), start(t, Obey)
	if p.PID() <= 0 || p.PID() == q.PID() || p.StartTime() == 0 || q.StartTime() < p.StartTime() {
		t.Errorf("first (%d, %d), second (%d, %d)", p.PID(), p.StartTime(), q.PID(), q.StartTime())
	}
	send(t, p, 0)
	if _, err := p.Usage(); err != nil {
		t.Errorf("usage while it runs: %v", err)
	}
	for _, r := range []proc.Process{p, q} {
		send(t, r, syscall.SIGKILL)
		Await(t, r)
	}
}

func send(t *testing.T, p proc.Process, sig syscall.Signal) {
	t.Helper()
	if err := p.Signal(sig); err != nil {
		t.Fatalf("send %v: %v", sig, err)
	}
}

// Await returns how p ended and fails the test if it does not end.
func Await(t *testing.T, p proc.Process) proc.Exit {
	t.Helper()
	select {
	case e, ok := <-p.Wait():
		if !ok {
			t.Fatal("Wait was closed without an exit")
		}
		return e
	case <-time.After(patience):
		t.Fatalf("process %d has not ended", p.PID())
		return proc.Exit{}
	}
}
