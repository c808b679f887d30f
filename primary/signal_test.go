package primary

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/proc"
)

// raise sends a signal to this thread: when it returns, the runtime has taken it.
func raise(t *testing.T, sig syscall.Signal) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	must(t, unix.Tgkill(os.Getpid(), unix.Gettid(), sig))
}

// TestNoSignalIsLostBeforeItIsIgnored: one that the runtime has taken is in its
// channel, however soon it is ignored from then on.
func TestNoSignalIsLostBeforeItIsIgnored(t *testing.T) {
	signals := make(chan os.Signal, 4)
	defer signal.Reset(primarySignals()...)
	defer signal.Stop(signals)
	for i := range 200 {
		signal.Notify(signals, primarySignals()...)
		raise(t, syscall.SIGHUP)
		ignoreSignals()
		if len(signals) != 1 {
			t.Fatalf("after %d times: %d signals", i, len(signals))
		}
		<-signals
	}
}

// TestSignalPutsAnExecOff: one that has come is there until the loop acts on it,
// however long that takes, and no exec overtakes it.
func TestSignalPutsAnExecOff(t *testing.T) {
	c := newCluster(t)
	lock, err := takeState(c.cfg)
	must(t, err)
	defer lock.Close()
	p, err := newPrimary(c.cfg, lock, nil)
	must(t, err)
	l, err := p.assemble(nil, nil)
	must(t, err)
	file := filepath.Join(t.TempDir(), "program")
	must(t, os.WriteFile(file, nil, 0o600)) // an exec that is not put off fails
	b, err := proc.Pin(file)
	must(t, err)
	defer b.Close()
	signals := takeSignals()
	defer signal.Stop(signals)
	ctx := c.context()
	p.post(func(l *loop) {
		raise(t, syscall.SIGTERM)
		for len(signals) == 0 && ctx.Err() == nil {
			runtime.Gosched()
		}
		if err := l.exec(&generation{binary: b, program: program{dir: "/"}}, &job{}); !errors.Is(err, errExiting) {
			t.Errorf("exec: %v", err)
		}
	})
	l.run(ctx, p.events, signals)
	if j := l.stopJob; j == nil || j.Owner != "signal terminated" {
		t.Errorf("stopped by %+v", j)
	}
}
