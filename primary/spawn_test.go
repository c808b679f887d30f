package primary

import (
	"os"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/proc"
)

// TestBootMessageOfALargePool: it names each socket of the pool, which is more
// than any pipe holds.
func TestBootMessageOfALargePool(t *testing.T) {
	want := ipc.Boot{Cluster: "hello", Pool: "web", Secret: make([]byte, 32)}
	for _, name := range []string{"web", "web-2", "web-3", "web-4"} {
		for slot := range 1024 {
			want.Sockets = append(want.Sockets, ipc.Socket{Name: name, Slot: slot, FD: 8 + len(want.Sockets)})
		}
	}
	fd, err := bootFile(want)
	must(t, err)
	if _, err := unix.Write(fd, []byte("x")); err == nil {
		t.Error("it can be changed")
	}
	f := os.NewFile(uintptr(fd), "boot")
	defer f.Close()
	var got ipc.Boot
	must(t, ipc.ReadBoot(f, &got))
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// gate is a starter that lets processes start when it is opened.
type gate struct {
	*cluster
	waiting chan struct{}
	open    chan struct{}
	starts  atomic.Int32
}

func (g *gate) Start(c proc.Command) (proc.Process, error) {
	g.starts.Add(1)
	g.waiting <- struct{}{}
	<-g.open
	for _, fd := range c.Files[listenFD:] {
		if _, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil {
			g.t.Errorf("descriptor %d was closed before the start: %v", fd, err)
		}
	}
	return g.cluster.Start(c)
}

// TestStopOvertakesStarts: those in hand have the sockets that they were given,
// and those that wait are not begun.
func TestStopOvertakesStarts(t *testing.T) {
	turns := runtime.GOMAXPROCS(0)
	spec := quick("web", turns+20)
	spec.Listen = []string{"tcp://127.0.0.1:0"}
	c := newCluster(t, spec)
	g := &gate{cluster: c, waiting: make(chan struct{}, turns+20), open: make(chan struct{})}
	c.cfg.Starter = g
	c.run()
	for range turns {
		<-g.waiting
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		j, err := c.ctl.Do(c.context(), control.StopRequest{}, func(control.JobEvent) error { return nil })
		if err != nil || j.State != control.JobOK {
			t.Errorf("%s: %s, %v", j.State, j.Error, err)
		}
	}()
	for range 20 {
		c.await("worker.exited", "")
	}
	close(g.open)
	within(t, stopped)
	within(t, c.over)
	if n := int(g.starts.Load()); n != turns {
		t.Errorf("%d processes were started, want %d", n, turns)
	}
}
