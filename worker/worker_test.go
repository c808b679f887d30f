package worker

import (
	"context"
	"errors"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/ipc"
)

func TestLife(t *testing.T) {
	w := newPrimary(t).start(func(ctx context.Context, w *Worker) error {
		got := []any{w.ID(), w.Pool(), w.Slot(), w.Generation(), w.Incarnation(), w.Cluster()}
		if d := cmp.Diff([]any{"web/2", "web", 2, 3, uint64(4), "test"}, got); d != "" {
			t.Errorf("who it is (-want +got):\n%s", d)
		}
		w.Ready()
		return untilAsked(ctx, w)
	})
	want := ipc.Hello{Protocol: ipc.Version, Purpose: ipc.PurposeControl, Worker: "web/2", Generation: 3, Incarnation: 4, Secret: []byte("secret")}
	if d := cmp.Diff(want, w.hello); d != "" {
		t.Errorf("hello (-want +got):\n%s", d)
	}
	w.await(ipc.TypeReady)
	w.send("of a newer primary", nil)
	w.send(ipc.TypeDrain, ipc.Drain{Deadline: soon})
	seen := map[string]bool{}
	for !seen[ipc.TypeDrained] {
		m, err := w.conn.Receive(soon)
		must(t, err)
		seen[m.Type] = true
	}
	if seen[ipc.TypeReady] {
		t.Errorf("it said %v", seen)
	}
	if err := w.exited(); err != nil {
		t.Errorf("main: %v", err)
	}
}

func TestRunFails(t *testing.T) {
	fail := errors.New("no database")
	w := newPrimary(t).start(func(context.Context, *Worker) error { return fail })
	if err := w.exited(); err != fail {
		t.Errorf("main: %v, want %v", err, fail)
	}
}

func TestRunReturnsBeforeItIsAsked(t *testing.T) {
	w := newPrimary(t).start(func(context.Context, *Worker) error { return context.Canceled })
	if err := w.exited(); !errors.Is(err, context.Canceled) {
		t.Errorf("main: %v: it was not asked to end", err)
	}
}

func TestBadBoot(t *testing.T) {
	p := newPrimary(t)
	for name, change := range map[string]func(*ipc.Boot){
		"no primary":          func(b *ipc.Boot) { b.Run = t.TempDir() },
		"a socket of nothing": func(b *ipc.Boot) { b.Listeners = []ipc.Inherited{{Name: "web", FD: 0}} },
	} {
		b := ipc.Boot{Pool: "web", Run: p.dir}
		change(&b)
		if err := live(bootPipe(t, b), untilAsked); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestLinger: while it lingers, what is on its way to the listener is accepted.
func TestLinger(t *testing.T) {
	for name, test := range map[string]struct {
		drain    ipc.Drain
		accepted bool
	}{
		"a successor accepts": {ipc.Drain{LameDuck: soon, Deadline: soon}, false},
		"no other accepts":    {ipc.Drain{Linger: true, LameDuck: soon, Deadline: soon}, true},
	} {
		t.Run(name, func(t *testing.T) {
			p, s := newPrimary(t), socket(t)
			asked, ended := make(chan struct{}), make(chan error, 1)
			w := p.start(func(ctx context.Context, w *Worker) error {
				ln, err := w.Listener("web")
				if err != nil {
					return err
				}
				w.Ready()
				<-ctx.Done()
				close(asked)
				c, err := ln.Accept()
				if err == nil {
					c.Close()
				}
				ended <- err
				return nil
			}, s)
			w.send(ipc.TypeDrain, test.drain)
			within(t, asked)
			if test.accepted {
				c, err := net.Dial("tcp", addr(s))
				must(t, err)
				defer c.Close()
			}
			if err := <-ended; (err == nil) != test.accepted {
				t.Errorf("accept: %v, want accepted: %v", err, test.accepted)
			}
		})
	}
}

// TestWithoutPrimary: it drains and ends.
func TestWithoutPrimary(t *testing.T) {
	w := newPrimary(t).start(untilAsked)
	w.await(ipc.TypeReady)
	must(t, w.conn.Close())
	if err := w.exited(); err != errNoPrimary { // not as one that was asked to go
		t.Errorf("main: %v", err)
	}
}

// TestDeadlineCuts what is still running.
func TestDeadlineCuts(t *testing.T) {
	w := newPrimary(t).start(func(_ context.Context, w *Worker) error {
		w.Ready()
		<-w.Context().Done()
		return nil
	})
	w.await(ipc.TypeReady)
	w.send(ipc.TypeDrain, ipc.Drain{Deadline: 10 * time.Millisecond})
	if err := w.exited(); err != nil {
		t.Errorf("main: %v", err)
	}
}

// TestFinalHastens: a worker that may drain for ever is told that it is over.
func TestFinalHastens(t *testing.T) {
	w := newPrimary(t).start(func(_ context.Context, w *Worker) error {
		w.Ready()
		<-w.Context().Done()
		return nil
	})
	w.await(ipc.TypeReady)
	w.send(ipc.TypeDrain, ipc.Drain{})
	w.await(ipc.TypeClosed)
	w.send(ipc.TypeDrain, ipc.Drain{Final: true, Deadline: 10 * time.Millisecond})
	if err := w.exited(); err != nil {
		t.Errorf("main: %v", err)
	}
}

// TestTerm: the first asks to drain, the second cuts.
func TestTerm(t *testing.T) {
	mine := make(chan os.Signal, 2)
	signal.Notify(mine, syscall.SIGTERM) // or the first one might end the test
	defer signal.Stop(mine)
	asked := make(chan struct{})
	w := newPrimary(t).start(func(ctx context.Context, w *Worker) error {
		w.Ready()
		<-ctx.Done()
		close(asked)
		<-w.Context().Done()
		return nil
	})
	w.await(ipc.TypeReady)
	terms := time.NewTicker(time.Millisecond) // the worker's handler may not be there yet
	defer terms.Stop()
	for draining := false; !draining; {
		must(t, unix.Kill(os.Getpid(), unix.SIGTERM))
		select {
		case <-asked:
			draining = true
		case <-terms.C:
		}
	}
	w.await(ipc.TypeLeaving)
	for {
		must(t, unix.Kill(os.Getpid(), unix.SIGTERM))
		select {
		case err := <-w.over:
			w.over <- err
			if err != nil {
				t.Errorf("main: %v", err)
			}
			return
		case <-terms.C:
		}
	}
}

// TestTermAfterDrain: the first one cuts nothing, also when it drains already.
func TestTermAfterDrain(t *testing.T) {
	terms := make(chan os.Signal) // unbuffered: a second one is taken only if the first has not cut
	w := newPrimary(t).start(func(ctx context.Context, w *Worker) error {
		w.Ready()
		<-ctx.Done()
		w.obeyTerms(terms)
		<-w.Context().Done()
		return nil
	})
	w.await(ipc.TypeReady)
	w.send(ipc.TypeDrain, ipc.Drain{})
	for range 2 {
		select {
		case terms <- syscall.SIGTERM:
		case err := <-w.over:
			t.Fatalf("the worker ended at the first: %v", err)
		}
	}
	if err := w.exited(); err != nil {
		t.Errorf("main: %v", err)
	}
}

// TestTermWhileJoining: a worker that is asked to go looks for its primary no
// more.
func TestTermWhileJoining(t *testing.T) {
	w, err := newWorker(ipc.Boot{Pool: "web", Run: t.TempDir()})
	must(t, err)
	defer w.leave()
	terms := make(chan os.Signal, 1)
	w.wg.Go(func() { w.obeyTerms(terms) })
	terms <- syscall.SIGTERM
	over := make(chan error, 1)
	go func() { over <- w.join() }()
	select {
	case err = <-over:
	case <-time.After(joinTimeout / 2):
		t.Fatal("it still looks for a primary")
	}
	if err == nil {
		t.Error("joined where no primary is")
	}
}

func TestLeave(t *testing.T) {
	w := newPrimary(t).start(func(ctx context.Context, w *Worker) error {
		w.Ready()
		w.Leave()
		w.Leave()
		<-ctx.Done()
		return nil
	})
	w.await(ipc.TypeReady)
	w.await(ipc.TypeLeaving)
	w.await(ipc.TypeDrained)
	if err := w.exited(); err != nil {
		t.Errorf("main: %v", err)
	}
}

// TestLeaveAsThePool: a worker that leaves by itself has the pool's times.
func TestLeaveAsThePool(t *testing.T) {
	b := ipc.Boot{Pool: "web", Run: t.TempDir(), Leave: &ipc.Drain{Linger: true, LameDuck: 7 * time.Minute, Deadline: 9 * time.Minute}}
	for name, test := range map[string]struct {
		begin func(*Worker)
		want  ipc.Drain
	}{
		"by its own wish":   {(*Worker).Leave, *b.Leave},
		"without a primary": {(*Worker).drainAsOrphan, ipc.Drain{LameDuck: b.Leave.LameDuck, Deadline: 10 * time.Second, Final: true}},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := newWorker(b)
			must(t, err)
			defer w.leave()
			test.begin(w)
			<-w.serving.Done()
			if w.drain != test.want {
				t.Errorf("%+v, want %+v", w.drain, test.want)
			}
		})
	}
}

func TestBeats(t *testing.T) {
	s := socket(t)
	w := newPrimary(t).start(func(ctx context.Context, w *Worker) error {
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
	}, s)
	c, err := net.Dial("tcp", addr(s))
	must(t, err)
	defer c.Close()
	for {
		m, err := w.conn.Receive(soon)
		must(t, err)
		var b ipc.Beat
		if m.Type == ipc.TypeBeat && m.Decode(&b) == nil && b.Connections == 1 {
			return
		}
	}
}

func TestListenerNames(t *testing.T) {
	w := newPrimary(t).start(func(_ context.Context, w *Worker) error {
		_, err := w.Listener("admin")
		return err
	}, socket(t), socket(t))
	if err := w.exited(); err == nil || !strings.Contains(err.Error(), `no listener "admin": pool web has web, web-2`) {
		t.Errorf("main: %v", err)
	}
	w = newPrimary(t).start(func(_ context.Context, w *Worker) error {
		_, err := w.Listener("web")
		return err
	})
	if err := w.exited(); err == nil || !strings.Contains(err.Error(), "pool web has none") {
		t.Errorf("main: %v", err)
	}
}
