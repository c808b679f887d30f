package worker

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

// orphan starts a worker with a policy, and sockets that it keeps.
func (p *primary) orphan(run Run, change func(*ipc.Boot), kept ...int) *peer {
	p.t.Helper()
	b := ipc.Boot{
		Cluster: "test", Pool: "web", Slot: 2, Generation: 3, Incarnation: 4, Secret: []byte("secret"),
		Run: p.dir, State: p.dir, Beat: 20 * time.Millisecond, Orphan: control.OrphanServe,
	}
	for slot, fd := range kept {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		must(p.t, err)
		b.Sockets = append(b.Sockets, ipc.Socket{Name: "web", Slot: slot, FD: dup})
	}
	if change != nil {
		change(&b)
	}
	over := make(chan error, 1)
	fd := bootPipe(p.t, b)
	go func() { over <- live(fd, run) }()
	w := p.joined()
	w.over = over
	return w
}

// joined is the next worker that says hello.
func (p *primary) joined() *peer {
	p.t.Helper()
	select {
	case w := <-p.joins:
		return w
	case <-time.After(soon):
		p.t.Fatal("no worker joins")
		return nil
	}
}

// dies ends a primary; its socket stays, as a killed one's does.
func (p *primary) dies(w *peer) {
	p.ln.Close()
	w.conn.Close()
	p.talks.Wait()
}

// successor listens in the place of the one that died.
func (p *primary) successor(answer func(*ipc.Conn, ipc.Hello)) *primary {
	p.t.Helper()
	next := &primary{t: p.t, dir: p.dir, joins: make(chan *peer, 4), reply: make(chan ipc.Reply, 1), answer: answer}
	ln, err := inherit.ListenUnix(filepath.Join(p.dir, ipc.WorkerSocket), 0o600)
	must(p.t, err)
	next.ln = ln
	next.talks.Go(next.accept)
	p.t.Cleanup(func() {
		next.ln.Close()
		next.talks.Wait()
	})
	return next
}

// leave ends the worker of a test.
func (w *peer) leave() {
	w.t.Helper()
	w.send(ipc.TypeDrain, ipc.Drain{Deadline: soon})
	if err := w.exited(); err != nil {
		w.t.Errorf("main: %v", err)
	}
	w.conn.Close()
}

// reported is what a hello says of the worker's state.
func reported(h ipc.Hello) []bool { return []bool{h.Ready, h.Leaving, h.Draining, h.Closed} }

// TestRejoin: the next primary gets the whole report, whatever was said to the
// one before.
func TestRejoin(t *testing.T) {
	for name, test := range map[string]struct {
		run  Run
		wait string // for this message before the primary dies
		want []bool
	}{
		"not ready": {func(ctx context.Context, _ *Worker) error { <-ctx.Done(); return nil }, ipc.TypeBeat, []bool{false, false, false, false}},
		"ready":     {untilAsked, ipc.TypeReady, []bool{true, false, false, false}},
		"leaves and is closed": {func(_ context.Context, w *Worker) error {
			w.Ready()
			w.isLeaving.Store(true)
			w.startDrain(ipc.Drain{Deadline: soon})
			<-w.Context().Done()
			return nil
		}, ipc.TypeClosed, []bool{true, true, true, true}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPrimary(t)
			w := p.orphan(test.run, nil)
			if test.wait != ipc.TypeBeat {
				w.until(test.wait)
			}
			p.dies(w)
			again := p.successor(nil).joined()
			again.over = w.over
			if d := cmp.Diff(test.want, reported(again.hello)); d != "" {
				t.Errorf("ready, leaving, draining, closed (-want +got):\n%s", d)
			}
			if again.hello.Incarnation != 4 || string(again.hello.Secret) != "secret" {
				t.Errorf("hello %+v", again.hello)
			}
			again.send(ipc.TypeDrain, ipc.Drain{Final: true, Deadline: 10 * time.Millisecond})
			if err := again.exited(); err != nil {
				t.Errorf("main: %v", err)
			}
			again.conn.Close()
		})
	}
}

// until reads up to a message, whatever comes before.
func (w *peer) until(kind string) {
	w.t.Helper()
	for {
		m, err := w.conn.Receive(soon)
		must(w.t, err)
		if m.Type == kind {
			return
		}
	}
}

// TestEndsWhileItJoins: a conversation that a worker has opened at its very end
// does not keep it.
func TestEndsWhileItJoins(t *testing.T) {
	a, b := unixPair(t)
	other := speak(t, b)
	var l link
	l.close()
	l.set(speak(t, a))
	if _, err := l.current().Receive(soon); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the worker hears %v, want %v", err, net.ErrClosed)
	}
	if _, err := other.Receive(soon); !errors.Is(err, io.EOF) {
		t.Errorf("the primary hears %v, want %v", err, io.EOF)
	}
}

// TestReadyWithoutPrimary: it is lost, and the next primary is told.
func TestReadyWithoutPrimary(t *testing.T) {
	p := newPrimary(t)
	alone, said := make(chan struct{}), make(chan struct{})
	w := p.orphan(func(ctx context.Context, w *Worker) error {
		<-alone
		w.Ready()
		close(said)
		<-ctx.Done()
		return nil
	}, nil)
	p.dies(w)
	close(alone)
	within(t, said)
	again := p.successor(nil).joined()
	again.over = w.over
	if !again.hello.Ready {
		t.Errorf("hello %+v", again.hello)
	}
	again.leave()
}

// TestReadyDuringTheHello: what becomes true between the hello and the welcome
// is said after it.
func TestReadyDuringTheHello(t *testing.T) {
	p := newPrimary(t)
	greeted, said := make(chan struct{}), make(chan struct{})
	w := p.orphan(func(ctx context.Context, w *Worker) error {
		<-greeted
		w.Ready()
		close(said)
		<-ctx.Done()
		return nil
	}, nil)
	p.dies(w)
	again := p.successor(func(*ipc.Conn, ipc.Hello) {
		close(greeted)
		<-said
	}).joined()
	again.over = w.over
	if again.hello.Ready {
		t.Fatal("it was ready before: this test tests nothing")
	}
	again.until(ipc.TypeReady)
	again.leave()
}

// TestOrphanPolicies: drain waits for the next primary, exit does not.
func TestOrphanPolicies(t *testing.T) {
	for name, test := range map[string]struct {
		policy string
		after  time.Duration
	}{
		"exit":  {control.OrphanExit, time.Hour},
		"drain": {control.OrphanDrain, 20 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPrimary(t)
			w := p.orphan(untilAsked, func(b *ipc.Boot) { b.Orphan, b.OrphanAfter = test.policy, test.after })
			w.until(ipc.TypeReady)
			p.dies(w)
			if err := w.exited(); err != errNoPrimary { // not as one that was asked to go
				t.Errorf("main: %v", err)
			}
		})
	}
}

func TestOrphanDrainIsCalledOff(t *testing.T) {
	p := newPrimary(t)
	w := p.orphan(untilAsked, func(b *ipc.Boot) { b.Orphan, b.OrphanAfter = control.OrphanDrain, 2*time.Second })
	w.until(ipc.TypeReady)
	p.dies(w)
	again := p.successor(nil).joined()
	again.over = w.over
	late := time.After(2*time.Second + 200*time.Millisecond)
	for early := true; early; { // it goes on to beat, and to nothing else
		m, err := again.conn.Receive(soon)
		must(t, err)
		if m.Type != ipc.TypeBeat {
			t.Fatalf("it said %s", m.Type)
		}
		select {
		case <-late:
			early = false
		default:
		}
	}
	again.leave()
}

// TestRefusedByTheNext: it drains, and tries no more.
func TestRefusedByTheNext(t *testing.T) {
	p := newPrimary(t)
	w := p.orphan(untilAsked, nil)
	w.until(ipc.TypeReady)
	p.dies(w)
	asked := 0
	p.successor(func(c *ipc.Conn, _ ipc.Hello) {
		asked++
		_ = c.Send(soon, ipc.TypeRefused, ipc.FailureOf(control.ErrDenied))
		c.Close()
	})
	if err := w.exited(); err != errNoPrimary {
		t.Errorf("main: %v", err)
	}
	if asked != 1 {
		t.Errorf("it asked %d times", asked)
	}
}

// TestSocketsAreGivenBack: all of them, those that came later, too, and of each
// slot the last.
func TestSocketsAreGivenBack(t *testing.T) {
	const slots = socketsPerMessage + 3
	l, err := inherit.Parse("tcp://127.0.0.1:0")
	must(t, err)
	g, err := inherit.Open(l, inherit.Slots)
	must(t, err)
	defer g.Close()
	must(t, g.Grow(slots))
	if g.Mode() != inherit.Slots {
		t.Skip("run where SO_REUSEPORT can be steered")
	}
	p := newPrimary(t)
	w := p.orphan(untilAsked, nil, g.FDs()[:slots-2]...)
	w.until(ipc.TypeReady)
	for _, from := range []int{slots - 3, slots - 2} { // one that it has, and two that it has not
		to := min(from+2, slots)
		m := ipc.Sockets{Last: true}
		for slot := from; slot < to; slot++ {
			m.Sockets = append(m.Sockets, ipc.Socket{Name: "web", Slot: slot})
		}
		w.send(ipc.TypeSockets, m, g.FDs()[from:to]...)
	}
	w.until(ipc.TypeBeat)
	w.until(ipc.TypeBeat) // the messages before it have been read
	p.dies(w)
	again := p.successor(func(c *ipc.Conn, _ ipc.Hello) {
		c.Trust(true)
		_ = c.Send(soon, ipc.TypeWelcome, ipc.Welcome{Protocol: ipc.Version, PID: os.Getpid(), Sockets: true})
	}).joined()
	again.over = w.over
	got := again.sockets()
	if again.hello.Kept != slots || len(got) != slots {
		t.Errorf("it keeps %d and gave %d, want %d", again.hello.Kept, len(got), slots)
	}
	for slot, fd := range got {
		if cookie(t, fd) != cookie(t, g.FD(slot)) {
			t.Errorf("slot %d is another socket", slot)
		}
		must(t, unix.Close(fd))
	}
	again.leave()
}

// sockets reads what is given back, by slot.
func (w *peer) sockets() map[int]int {
	w.t.Helper()
	all := make(map[int]int)
	for {
		m := w.await(ipc.TypeSockets)
		var s ipc.Sockets
		must(w.t, m.Decode(&s))
		for i, fd := range m.Files() {
			all[s.Sockets[i].Slot] = fd
		}
		if s.Last {
			return all
		}
	}
}

func cookie(t *testing.T, fd int) uint64 {
	t.Helper()
	n, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	must(t, err)
	return n
}

// TestServesWithoutPrimary: connections are accepted as before.
func TestServesWithoutPrimary(t *testing.T) {
	p, s := newPrimary(t), socket(t)
	w := p.orphan(func(ctx context.Context, w *Worker) error {
		ln, err := w.Listener("web")
		if err != nil {
			return err
		}
		w.Ready()
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		<-ctx.Done()
		return c.Close()
	}, func(b *ipc.Boot) {
		fd, err := unix.FcntlInt(uintptr(s.FD(0)), unix.F_DUPFD_CLOEXEC, 0)
		must(t, err)
		b.Listeners = []ipc.Inherited{{Name: "web", Addr: s.Addr(), FD: fd}}
	})
	w.until(ipc.TypeReady)
	p.dies(w)
	c, err := net.Dial("tcp", addr(s))
	must(t, err)
	defer c.Close()
	again := p.successor(nil).joined()
	again.over = w.over
	for {
		m, err := again.conn.Receive(soon)
		must(t, err)
		var b ipc.Beat
		if m.Type == ipc.TypeBeat && m.Decode(&b) == nil && b.Connections == 1 {
			break
		}
	}
	again.leave()
}
