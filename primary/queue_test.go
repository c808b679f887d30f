package primary

import (
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

// crowdedLoop is a loop whose worker.sock has a full queue of which nobody is
// accepted, and a pool of one survivor whose time to say hello is over.
func crowdedLoop(t *testing.T) (l *loop, events chan event, ln *net.UnixListener, survivor *actor) {
	t.Helper()
	old := newSurvivors(t, quick("web", 1))
	survivor = old.survivor(0, 1, 11)
	t.Cleanup(func() { survivor.Exit(0); old.acting.Wait() })
	path := filepath.Join(old.cfg.Run, ipc.WorkerSocket)
	ln, err := inherit.ListenUnix(path, 0o600)
	must(t, err)
	t.Cleanup(func() { ln.Close() })
	fd, err := inherit.RawFD(ln)
	must(t, err)
	must(t, unix.Listen(fd, 0)) // room for one
	c, err := inherit.DialUnix(t.Context(), path)
	must(t, err)
	t.Cleanup(func() { c.Close() })

	events = make(chan event, 64)
	cfg := old.cfg
	cfg.adoption, cfg.Console = 20*time.Millisecond, func(string) {}
	l = &loop{cfg: cfg, post: func(e event) bool { events <- e; return true }, spawn: &spawner{}, news: newEventLog(1, 10, 1<<10, func(control.Event) int { return 1 })}
	t.Cleanup(l.spawn.wg.Wait)
	p := &pool{protocol: library{}, spec: quick("web", 1).WithDefaults(), adoption: &adoption{until: time.Now()}}
	s := newSlot(p, 0)
	s.processes[11] = &process{inc: 11, handle: survivor, heard: time.Now()}
	p.slots, l.pools = []*slot{s}, []*pool{p}
	return l, events, ln, survivor
}

// next takes in the next event, as the loop does.
func (l *loop) next(t *testing.T, events chan event) {
	t.Helper()
	select {
	case e := <-events:
		e(l)
	case <-time.After(soon):
		t.Fatal("nothing happens")
	}
}

// TestCrowdedAtAdoption: a survivor that cannot reach the primary, because
// others fill the queue of worker.sock, is waited for, and that is told once.
// Where it could and says nothing, it is killed.
func TestCrowdedAtAdoption(t *testing.T) {
	l, events, ln, survivor := crowdedLoop(t)
	for range 6 { // a try that fails, and the wait for the next one
		l.completeAdoption(l.pools[0])
		l.next(t, events)
	}
	if survivor.Ended() {
		t.Fatal("it was killed while the queue was full")
	}
	if told, _, _ := l.news.read(1); len(told) != 1 || told[0].Kind != "cluster.trouble" {
		t.Errorf("events %+v, want that the socket is crowded", told)
	}
	go func() {
		for {
			c, err := ln.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			c.Close()
		}
	}()
	for l.completeAdoption(l.pools[0]); !survivor.Ended(); l.completeAdoption(l.pools[0]) {
		l.next(t, events)
	}
}

// TestLostWithoutConversation: the same goes for a worker that has lost its
// conversation and whose beats cannot come.
func TestLostWithoutConversation(t *testing.T) {
	l, events, _, survivor := crowdedLoop(t)
	p := l.pools[0]
	p.adoption = nil
	s := p.slots[0]
	s.cur = processState{inc: 11, gen: 1, ready: true}
	s.processes[11].heard = time.Now().Add(-time.Hour)
	for range 6 {
		l.looked = time.Now()
		l.checkBeats(l.looked)
		l.next(t, events)
	}
	if survivor.Ended() || s.cur.ending != notEnding {
		t.Error("it was killed while the queue was full")
	}
}
