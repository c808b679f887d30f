package primary

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

// TestUnreadableRecord: the survivors are found by what they say.
func TestUnreadableRecord(t *testing.T) {
	for name, data := range map[string][]byte{"garbage": []byte("garbage"), "none": nil} {
		t.Run(name, func(t *testing.T) {
			spec := aged("web", 2)
			l := newLegacy(t, spec)
			l.cfg.Spec.Pools[0].Listen = []string{l.sockets.Addr()} // what port 0 was is not known without a record
			l.comeBack(l.survivor(0, 1, 11), ready)
			l.comeBack(l.survivor(1, 1, 12), ready)
			if data != nil {
				must(t, os.WriteFile(filepath.Join(l.cfg.State, recordFile), data, 0o600))
			}
			l.run()
			l.await("cluster.ready", "")
			if d := cmp.Diff([]uint64{11, 12}, l.incarnations()); d != "" {
				t.Errorf("incarnations (-want +got):\n%s", d)
			}
			l.reload(control.ReloadRequest{}, control.JobOK)
			if d := cmp.Diff([]int{2, 2}, l.generations()); d != "" {
				t.Errorf("generations (-want +got):\n%s", d)
			}
		})
	}
}

// TestSocketsOfTheFullest: a survivor that missed the last sockets comes first.
func TestSocketsOfTheFullest(t *testing.T) {
	l := newLegacy(t, aged("web", 3))
	a, b, c := l.seated(0, 11), l.seated(1, 12), l.seated(2, 13)
	welcomed := make(chan struct{})
	l.comeBack(a, func(h *ipc.Hello) { h.Ready, h.Kept = true, 2 })
	wait := func(h *ipc.Hello) {
		h.Ready = true
		select {
		case <-welcomed:
		case <-time.After(30 * time.Millisecond):
		}
	}
	l.comeBack(b, wait)
	l.comeBack(c, wait)
	l.next()
	close(welcomed)
	// A fourth socket is the group's fourth: all three were known.
	j, _ := l.follow(l.ctl.Scale(l.context(), control.ScaleRequest{Pool: "web", To: 4}))
	if j.State != control.JobOK {
		t.Fatal(j.Error)
	}
	boot := l.last("web/3").boot
	if n := len(boot.Sockets); n != 4 {
		t.Errorf("the new worker has %d sockets", n)
	}
	for slot := range 3 {
		l.reload(control.ReloadRequest{}, control.JobOK)
		if !sameSocket(t, l.last(fmt.Sprintf("web/%d", slot)), l.sockets.FD(slot)) {
			t.Errorf("slot %d has another socket than before", slot)
		}
	}
}

// sameSocket compares by SO_COOKIE what the process got as its listener.
func sameSocket(t *testing.T, a *actor, fd int) bool {
	t.Helper()
	want, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	must(t, err)
	return a.cookie == want
}

// TestStopWhileGathering does not wait for sockets that nobody has.
func TestStopWhileGathering(t *testing.T) {
	l := newLegacy(t, aged("web", 2))
	l.cfg.gather = 100 * time.Millisecond
	l.cfg.Spec.Pools[0].Listen = []string{l.sockets.Addr()} // held by this test
	silent := l.seated(0, 11)
	l.start()
	l.await("pool.adopting", "")
	j, _ := l.follow(l.ctl.Stop(l.context(), control.StopRequest{}))
	if j.State != control.JobOK && j.State != control.JobCancelled {
		t.Errorf("%s: %s", j.State, j.Error)
	}
	within(t, silent.dead)
	within(t, l.over)
}

// TestNothingStartsWhileGathering: a revive must not fill a slot whose socket
// has not come back.
func TestNothingStartsWhileGathering(t *testing.T) {
	l := newLegacy(t, aged("web", 2))
	l.pool().Seats[1].Hold = control.Dead
	free := make(chan struct{})
	l.comeBack(l.seated(0, 11), func(h *ipc.Hello) { ready(h); <-free })
	l.start()
	l.await("pool.adopting", "")
	j, err := l.ctl.Revive(l.context(), control.ReviveRequest{IDs: []string{"web/1"}})
	must(t, err)
	if n := len(l.all("web/1")); n != 0 {
		t.Errorf("%d processes were started without sockets", n)
	}
	close(free)
	if j, _ := l.follow(j, nil); j.State != control.JobOK {
		t.Errorf("%s: %s", j.State, j.Error)
	}
	if got := l.last("web/1").boot.Listeners; len(got) != 1 || got[0].Addr != l.sockets.Addr() {
		t.Errorf("it has %+v", got)
	}
}
