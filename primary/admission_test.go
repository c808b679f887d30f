package primary

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

// Users of these tests: one that a pool runs as, and one without business here.
const (
	poolUser  = 4001
	otherUser = 4002
)

// takeAll takes all the places that a process can get.
func takeAll(a *admission, pid int32, uid uint32) (n int) {
	for n < 1<<16 {
		if _, err := a.enter(unix.Ucred{Pid: pid, Uid: uid}, 3); err != nil {
			return n
		}
		n++
	}
	return n
}

// TestAdmission: each peer has its places, however many others try to have,
// and no try waits.
func TestAdmission(t *testing.T) {
	own := uint32(os.Geteuid())
	a := newAdmission([]uint32{poolUser})
	a.worker(101, "web/0", false)
	a.worker(102, "web/1", false)
	a.worker(103, "shell/0", true)
	var got []int
	for _, p := range []unix.Ucred{
		{Pid: 1, Uid: otherUser},
		{Pid: 2, Uid: otherUser + 1}, // strangers take each other's places
		{Pid: 3, Uid: poolUser},
		{Pid: 4, Uid: poolUser}, // and so do the processes of a user that are no workers
		{Pid: 101, Uid: poolUser},
		{Pid: 102, Uid: poolUser},
		{Pid: 103, Uid: poolUser},
		{Pid: 5, Uid: own},
	} {
		got = append(got, takeAll(a, p.Pid, p.Uid))
	}
	want := []int{strangerConns, 0, poolConns, 0, workerConns, workerConns, shellConns, trustedConns}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("places (-want +got):\n%s", d)
	}
}

// TestAdmissionEnds: a place is given back with its connection, and the places
// of a worker with its process.
func TestAdmissionEnds(t *testing.T) {
	a := newAdmission(nil)
	ended := a.worker(101, "web/0", false)
	leave, err := a.enter(unix.Ucred{Pid: 101, Uid: otherUser}, 3)
	must(t, err)
	if n := takeAll(a, 101, otherUser); n != workerConns-1 {
		t.Errorf("%d more places, want %d", n, workerConns-1)
	}
	_, err = a.enter(unix.Ucred{Pid: 101, Uid: otherUser}, 3)
	if !errors.Is(err, control.ErrBusy) {
		t.Errorf("one too many: %v, want busy", err)
	}
	leave()
	if n := takeAll(a, 101, otherUser); n != 1 {
		t.Errorf("%d places after one was given back", n)
	}
	ended()
	if n := takeAll(a, 101, otherUser); n != strangerConns {
		t.Errorf("another process of the same number has %d places, want those of a stranger", n)
	}
	if len(a.peers) != len(newAdmission(nil).peers) {
		t.Errorf("%d peers are kept", len(a.peers))
	}
}

// TestAdmissionScarce: where descriptors are scarce workers and strangers have
// the least, the admin port and root what they need.
func TestAdmissionScarce(t *testing.T) {
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	last := int(limit.Cur/2) - 1
	a := newAdmission([]uint32{poolUser})
	a.worker(101, "web/0", false)
	a.worker(103, "shell/0", true)
	for _, test := range []struct {
		cred unix.Ucred
		fd   int
		want int // of 4
	}{
		{unix.Ucred{Pid: 101, Uid: poolUser}, last + 1, keptConns},
		{unix.Ucred{Pid: 101, Uid: poolUser}, last, 4},
		{unix.Ucred{Pid: 3, Uid: poolUser}, last + 1, keptConns},
		{unix.Ucred{Pid: 103, Uid: poolUser}, last + 1, 4},
		{unix.Ucred{Pid: 5, Uid: 0}, last + 1, 4},
	} {
		got := 0
		for range 4 {
			if _, err := a.enter(test.cred, test.fd); err == nil {
				got++
			}
		}
		if got != test.want {
			t.Errorf("pid %d, uid %d, descriptor %d: %d of 4, want %d", test.cred.Pid, test.cred.Uid, test.fd, got, test.want)
		}
	}
}

// TestConversationsOfOneWorker: its secret opens as many as it has places,
// greeted ones included. The next one is told why; ctl.sock has places of its
// own; and what ends makes room.
func TestConversationsOfOneWorker(t *testing.T) {
	c := start(t, quick("web", 1))
	a := c.last("web/0")
	var open []*ipc.Conn
	for {
		conn, _, err := ipc.Open(c.context(), a.dial, a.hello(ipc.PurposeRequest))
		if errors.Is(err, control.ErrBusy) {
			break
		}
		must(t, err)
		open = append(open, conn)
		if len(open) > workerConns {
			t.Fatalf("%d conversations at once", len(open))
		}
	}
	if len(open) < workerConns-2 { // its own one, and what has just ended
		t.Errorf("%d conversations", len(open))
	}
	c.workers()
	for _, conn := range open {
		must(t, conn.Close())
	}
	for {
		conn, _, err := ipc.Open(c.context(), a.dial, a.hello(ipc.PurposeRequest))
		if err == nil {
			must(t, conn.Close())
			return
		}
		if !errors.Is(err, control.ErrBusy) {
			t.Fatal(err)
		}
	}
}

// TestOrphansAreHeardInACrowd: silent connections do not keep a worker that is
// in no record from being found.
func TestOrphansAreHeardInACrowd(t *testing.T) {
	l := newSurvivors(t, quick("web", 1))
	unrecorded := l.survivor(0, 1, 11)
	defer func() { unrecorded.Exit(0); l.acting.Wait() }()
	for range 5 { // the time to say hello is short, and the machine may be busy
		s := &search{cfg: l.cfg, found: make(map[int]*Orphan)}
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		crowded := make(chan struct{})
		go func() {
			defer close(crowded)
			crowdAndSpeak(ctx, unrecorded)
		}()
		must(t, s.greet(ctx, nil))
		cancel()
		<-crowded
		if len(s.found) == 1 {
			return
		}
	}
	t.Error("it was not found")
}

// crowdAndSpeak holds more silent connections than are read at once, and then
// says hello for a worker.
func crowdAndSpeak(ctx context.Context, a *actor) {
	for n := 0; n < 500 && ctx.Err() == nil; {
		c, err := a.dial(ctx)
		if err != nil {
			continue // the socket is not there yet
		}
		defer c.Close()
		n++
	}
	if conn, _, err := ipc.Open(ctx, a.dial, a.hello(ipc.PurposeControl)); err == nil {
		conn.Close()
	}
}
