package primary

import (
	"errors"
	"fmt"
	"net"
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
			l := newSurvivors(t, spec)
			l.cfg.Spec.Pools[0].Listen = []string{l.sockets.Addr()} // what port 0 was is not known without a record
			first := l.survivor(0, 1, 11)
			l.comeBack(first, ready)
			l.comeBack(l.survivor(1, 1, 12), func(h *ipc.Hello) { // by their order the script knows them
				ready(h)
				<-first.joined
			})
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
	l := newSurvivors(t, aged("web", 3))
	a, b, c := l.serving(0, 11), l.serving(1, 12), l.serving(2, 13)
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
	j, _ := l.do(control.ScaleRequest{Pool: "web", To: 4})
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

// TestStopInAdoption does not wait for sockets that nobody has.
func TestStopInAdoption(t *testing.T) {
	spec := aged("web", 2)
	spec.DrainTimeout = 50 * time.Millisecond // the survivor hears nothing
	l := newSurvivors(t, spec)
	l.cfg.adoption = 100 * time.Millisecond
	l.cfg.Spec.Pools[0].Listen = []string{l.sockets.Addr()} // held by this test
	silent := l.serving(0, 11)
	l.start()
	l.await("pool.adopting", "")
	j, _ := l.do(control.StopRequest{})
	if j.State != control.JobOK && j.State != control.JobCancelled {
		t.Errorf("%s: %s", j.State, j.Error)
	}
	within(t, silent.dead)
	within(t, l.over)
}

// TestNothingStartsInAdoption: a revive must not fill a slot whose socket
// has not come back.
func TestNothingStartsInAdoption(t *testing.T) {
	l := newSurvivors(t, aged("web", 2))
	l.pool().Slots[1].Hold = control.Dead
	free := make(chan struct{})
	l.comeBack(l.serving(0, 11), func(h *ipc.Hello) { ready(h); <-free })
	l.start()
	l.await("pool.adopting", "")
	j, err := l.ctl.Do(l.context(), control.ReviveRequest{IDs: []string{"web/1"}}, nil)
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

// TestStopWhileItCannotBegin: the address is somebody else's, so the cluster
// ends; a stop that is asked for meanwhile is that one.
func TestStopWhileItCannotBegin(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	web, db := quick("web", 1), quick("db", 1)
	web.Listen = []string{"tcp://" + taken.Addr().String()}
	db.DrainTimeout = soon
	c := newCluster(t, web, db)
	must(t, os.WriteFile(filepath.Join(c.cfg.State, counterFile), []byte("1000\n"), 0o600)) // there has been a primary, so somebody may give the address back
	c.act((*actor).stubborn)
	c.run()
	c.await("job.started", "")
	j, err := c.ctl.Do(c.context(), control.StopRequest{}, nil)
	must(t, err)
	if j.Kind != "stop" {
		t.Errorf("job %+v", j)
	}
	c.last("db/0").Exit(0)
	within(t, c.over)
	if !errors.Is(c.err, unix.EADDRINUSE) {
		t.Errorf("it ended with %v", c.err)
	}
	c.err = nil // as it should be
}

// TestGivenBackIsBounded: many workers that send sockets and never the last one
// of them have no more of the primary's descriptors than a few would.
func TestGivenBackIsBounded(t *testing.T) {
	p := &pool{}
	var all []*givenBack
	for range maxGivers {
		g := &givenBack{pool: p, limit: 2}
		g.add([]ipc.Socket{{FD: -1}, {FD: -1}})
		if g.tooMany() {
			t.Fatalf("no room for survivor %d", len(all))
		}
		all = append(all, g)
	}
	one := &givenBack{pool: p, limit: 2}
	if one.add([]ipc.Socket{{FD: -1}}); !one.tooMany() {
		t.Error("there is room for any number")
	}
	all[0].drop()
	if one.tooMany() {
		t.Error("what was dropped is still counted")
	}
	alone := &givenBack{pool: &pool{}, limit: 2}
	if alone.add([]ipc.Socket{{FD: -1}, {FD: -1}, {FD: -1}}); !alone.tooMany() {
		t.Error("one may send more than its pool has")
	}
}
