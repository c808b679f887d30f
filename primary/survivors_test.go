package primary

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/proc"
	"github.com/norestart/norestart/internal/proc/proctest"
)

// survivors are what a primary that was killed leaves behind: its record, and
// workers that live on.
type survivors struct {
	*cluster
	record  record
	sockets *inherit.Group
	key     []byte
}

// aged is quick for survivors, which have sockets.
func aged(name string, workers int) control.PoolSpec {
	s := quick(name, workers)
	s.Listen = []string{"tcp://127.0.0.1:0"}
	return s
}

// newSurvivors are of a cluster with one pool of so many slots, all of generation 1.
func newSurvivors(t *testing.T, spec control.PoolSpec) *survivors {
	t.Helper()
	l := &survivors{cluster: newCluster(t, spec), key: bytes.Repeat([]byte("k"), 32)}
	must(t, os.WriteFile(filepath.Join(l.cfg.State, "key"), l.key, 0o600))
	must(t, os.WriteFile(filepath.Join(l.cfg.State, "incarnation"), []byte("1000\n"), 0o600))
	b, err := proc.Pin(l.cfg.Binary)
	must(t, err)
	defer b.Close()
	dev, ino := b.Identity()
	l.record = record{
		Version: recordVersion, BootID: bootID(), LastJob: 4,
		Pools: []poolRecord{{
			Name: spec.Name, Target: spec.Workers, Gen: 1, LastGen: 1,
			Generations: []generationRecord{{Number: 1, Path: l.cfg.Binary, Dev: dev, Ino: ino, Argv: l.cfg.Argv, Dir: "/"}},
		}},
	}
	for range spec.Workers {
		l.pool().Slots = append(l.pool().Slots, slotRecord{Want: int(wantRun), Gen: 1})
	}
	if len(spec.Listen) > 0 {
		l.listen(spec)
	}
	return l
}

func (l *survivors) listen(spec control.PoolSpec) {
	at, err := inherit.Parse(spec.Listen[0])
	must(l.t, err)
	l.sockets, err = inherit.Open(at, spec.WithDefaults().Share)
	must(l.t, err)
	must(l.t, l.sockets.Grow(spec.Workers))
	l.t.Cleanup(func() { l.sockets.Close() })
}

func (l *survivors) pool() *poolRecord { return &l.record.Pools[0] }

// survivor is a process of the primary before. It is in the record at the place
// that cur, next or old of its slot is; in none it is unrecorded.
func (l *survivors) survivor(slot, gen int, inc uint64) *actor {
	l.t.Helper()
	p, err := l.script.Start(proc.Command{Path: "survivor"})
	must(l.t, err)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	must(l.t, err)
	a := &actor{Process: p.(*proctest.Process), pid: os.Getpid(), out: null, exit: make(chan proc.Exit, 1), dead: make(chan struct{}), joined: make(chan struct{})}
	a.boot = ipc.Boot{Pool: l.pool().Name, Slot: slot, Generation: gen, Incarnation: inc, Run: l.cfg.Run}
	a.boot.Secret = secret(l.key, a.id(), gen, inc)
	l.mu.Lock()
	l.survivors = append(l.survivors, a)
	l.mu.Unlock()
	l.acting.Go(a.reap)
	return a
}

// registered is how the record names a survivor.
func (a *actor) registered(ready bool) *processRecord {
	a.known = true
	at := time.Now().Add(-time.Minute)
	return &processRecord{Inc: a.boot.Incarnation, Gen: a.boot.Generation, PID: a.Process.PID(), Start: a.StartTime(), Ready: ready, ReadyAt: at, Since: at}
}

// serving is a survivor that serves in its slot.
func (l *survivors) serving(slot int, inc uint64) *actor {
	a := l.survivor(slot, 1, inc)
	l.pool().Slots[slot].Cur = a.registered(true)
	return a
}

// truth is what a survivor says when it comes back.
type truth func(*ipc.Hello)

func ready(h *ipc.Hello) { h.Ready = true }

// comeBack lets a survivor find the next primary, as the library's workers do.
func (l *survivors) comeBack(a *actor, say truth) {
	l.acting.Go(func() {
		a.Obey(syscall.SIGTERM)
		for {
			conn := l.greet(a, say)
			if conn != nil {
				a.once.Do(func() { close(a.joined) })
			}
			if conn != nil && !a.attend(conn) {
				return
			}
			select { // as a worker pauses between two attempts
			case <-time.After(time.Millisecond):
			case <-a.dead:
				return
			}
		}
	})
}

// greet says hello and gives the sockets back; nil if nobody is there.
func (l *survivors) greet(a *actor, say truth) *ipc.Conn {
	h := a.hello(ipc.PurposeControl)
	if l.sockets != nil {
		h.Kept = l.sockets.Len()
	}
	say(&h)
	conn, w, err := ipc.Open(context.Background(), a.dial, h)
	if err != nil {
		return nil
	}
	conn.Trust(true)
	if w.Sockets {
		fds := l.sockets.FDs()[:h.Kept]
		m := ipc.Sockets{Last: true}
		for i := range fds {
			m.Sockets = append(m.Sockets, ipc.Socket{Name: a.boot.Pool, Slot: i})
		}
		_ = conn.Send(soon, ipc.TypeSockets, m, fds...)
	}
	return conn
}

// attend does what the primary says; false when the process has ended.
func (a *actor) attend(conn *ipc.Conn) bool {
	defer conn.Close()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-a.dead:
			conn.Close()
		case <-stop:
		}
	}()
	for {
		m, err := conn.Receive(0)
		if err != nil {
			return !a.Ended()
		}
		var d ipc.Drain
		err = m.Decode(&d)
		m.Discard()
		if m.Type == ipc.TypeDrain && err == nil {
			a.drains = append(a.drains, d)
			_ = conn.Send(soon, ipc.TypeClosed, nil)
			a.Exit(0)
			return false
		}
	}
}

// start starts the primary that finds all this.
func (l *survivors) start() {
	l.t.Helper()
	data, err := ipc.Encode(l.record)
	must(l.t, err)
	must(l.t, os.WriteFile(filepath.Join(l.cfg.State, recordFile), data, 0o600))
	l.run()
}

// next starts it and waits until it has what it wants.
func (l *survivors) next() {
	l.t.Helper()
	l.start()
	l.await("cluster.ready", "")
}

func (l *survivors) listens() string {
	l.t.Helper()
	st, err := control.Get(l.context(), l.ctl, control.StatusQuery{})
	must(l.t, err)
	return strings.Join(st.Pools[0].Listen, " ")
}
