package worker

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/shellworker"
)

// shell is a worker that runs do for each local call.
func shell(do func(*shellworker.Call)) Run {
	return func(ctx context.Context, w *Worker) error {
		w.Ready()
		for {
			select {
			case c := <-shellworker.From(ctx).Calls:
				do(c)
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// caller hands a conversation to the worker and returns the caller's end.
func caller(t *testing.T, w *peer, args ...string) *ipc.Conn {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	must(t, err)
	w.send(ipc.TypeSession, ipc.Session{User: "root (ctl, uid 0, pid 7)", Args: args}, fds[1])
	must(t, unix.Close(fds[1]))
	f := os.NewFile(uintptr(fds[0]), "caller")
	defer f.Close()
	nc, err := net.FileConn(f)
	must(t, err)
	c := ipc.NewConn(nc.(*net.UnixConn))
	c.Trust(false)
	t.Cleanup(func() { c.Close() })
	return c
}

// expect reads the next message, which must be of a kind.
func expect(t *testing.T, c *ipc.Conn, kind string, body any) {
	t.Helper()
	m, err := c.Receive(soon)
	must(t, err)
	if m.Type != kind {
		t.Fatalf("received %s, want %s", m.Type, kind)
	}
	if body != nil {
		must(t, m.Decode(body))
	}
}

func TestLocalCall(t *testing.T) {
	w := newPrimary(t).start(shell(func(c *shellworker.Call) {
		in, err := io.ReadAll(c.Stdin())
		_, _ = io.WriteString(c.Stdout(), strings.Join(c.Args(), " ")+": "+strings.ToUpper(string(in)))
		_, _ = io.WriteString(c.Stderr(), c.User())
		if err != nil || c.Exit(3) != nil || c.Exit(4) == nil {
			t.Errorf("stdin: %v, or the exit was not once only", err)
		}
	}))
	w.await(ipc.TypeReady)
	c := caller(t, w, "foo", "1")
	expect(t, c, ipc.TypeAttached, nil)
	for _, piece := range []ipc.Data{{Data: []byte("one ")}, {}, {Data: []byte("two")}, {EOF: true}} {
		expect(t, c, ipc.TypeWant, nil) // the input is asked for, a piece at a time
		must(t, c.Send(soon, ipc.TypeStdin, piece))
	}
	var out, errs ipc.Data
	var exit ipc.ExitStatus
	expect(t, c, ipc.TypeStdout, &out)
	expect(t, c, ipc.TypeStderr, &errs)
	expect(t, c, ipc.TypeExit, &exit)
	if string(out.Data) != "foo 1: ONE TWO" || string(errs.Data) != "root (ctl, uid 0, pid 7)" || exit.Status != 3 {
		t.Errorf("%q, %q, status %d", out.Data, errs.Data, exit.Status)
	}
	if _, err := c.Receive(soon); err != io.EOF {
		t.Errorf("after the exit: %v, want %v", err, io.EOF)
	}
}

// TestLocalCallEnds: the command learns why it is to end, also
// while it reads.
func TestLocalCallEnds(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(*testing.T, *ipc.Conn, *peer)
		want error
	}{
		"Ctrl-C":   {func(t *testing.T, c *ipc.Conn, _ *peer) { must(t, c.Send(soon, ipc.TypeCancel, nil)) }, context.Canceled},
		"hangs up": {func(t *testing.T, c *ipc.Conn, _ *peer) { must(t, c.Close()) }, shellworker.ErrHungUp},
		"speaks nonsense": {func(t *testing.T, c *ipc.Conn, _ *peer) {
			must(t, c.Send(soon, "what", nil)) // of a newer caller
			must(t, c.Send(soon, ipc.TypeStdin, "not data"))
			must(t, c.Close())
		}, shellworker.ErrHungUp},
		"the worker is cut": {func(_ *testing.T, _ *ipc.Conn, w *peer) { w.send(ipc.TypeDrain, ipc.Drain{Deadline: 1}) }, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			causes := make(chan error, 2)
			w := newPrimary(t).start(shell(func(c *shellworker.Call) {
				_, err := c.Stdin().Read(make([]byte, 1))
				causes <- err
				<-c.Context().Done()
				causes <- context.Cause(c.Context())
			}))
			w.await(ipc.TypeReady)
			c := caller(t, w, "foo")
			expect(t, c, ipc.TypeAttached, nil)
			expect(t, c, ipc.TypeWant, nil)
			test.do(t, c, w)
			if err := <-causes; !errors.Is(err, test.want) {
				t.Errorf("read: %v, want %v", err, test.want)
			}
			if err := <-causes; !errors.Is(err, test.want) {
				t.Errorf("context: %v, want %v", err, test.want)
			}
		})
	}
}

// TestAttachedComesFirst, however fast the command is.
func TestAttachedComesFirst(t *testing.T) {
	w := newPrimary(t).start(shell(func(c *shellworker.Call) { _ = c.Exit(0) }))
	w.await(ipc.TypeReady)
	for range 200 {
		c := caller(t, w, "foo")
		expect(t, c, ipc.TypeAttached, nil)
		expect(t, c, ipc.TypeExit, nil)
	}
}

// TestLocalCallAfterCtrlC: the caller is still there for the last words.
func TestLocalCallAfterCtrlC(t *testing.T) {
	w := newPrimary(t).start(shell(func(c *shellworker.Call) {
		<-c.Context().Done()
		_, _ = io.WriteString(c.Stderr(), "cancelled")
		_ = c.Exit(130)
	}))
	w.await(ipc.TypeReady)
	c := caller(t, w, "foo")
	expect(t, c, ipc.TypeAttached, nil)
	must(t, c.Send(soon, ipc.TypeCancel, nil))
	expect(t, c, ipc.TypeStderr, nil)
	var exit ipc.ExitStatus
	expect(t, c, ipc.TypeExit, &exit)
	if exit.Status != 130 {
		t.Errorf("status %d", exit.Status)
	}
}

// TestNobodyTakesTheCall: a shell that drains lets the caller go.
func TestNobodyTakesTheCall(t *testing.T) {
	w := newPrimary(t).start(untilAsked)
	w.await(ipc.TypeReady)
	c := caller(t, w, "foo")
	w.send(ipc.TypeDrain, ipc.Drain{Deadline: soon})
	if _, err := c.Receive(soon); err != io.EOF {
		t.Errorf("%v, want %v", err, io.EOF)
	}
}

// TestBrokenSessions cost no descriptor.
func TestBrokenSessions(t *testing.T) {
	w := newPrimary(t).start(untilAsked)
	w.await(ipc.TypeReady)
	r, other, err := os.Pipe()
	must(t, err)
	for _, kind := range []string{ipc.TypeSession, ipc.TypeReady} {
		must(t, w.conn.Send(soon, kind, nil, int(other.Fd()), int(other.Fd())))
		must(t, w.conn.Send(soon, kind, nil, int(other.Fd())))
	}
	must(t, other.Close())
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("somebody still holds the descriptor: %v", err)
	}
	must(t, r.Close())
	w.send(ipc.TypeDrain, ipc.Drain{Deadline: soon})
	if err := w.exited(); err != nil {
		t.Errorf("main: %v", err)
	}
}

// TestCallerGivesUp: one that is gone before its call is taken is known to be.
func TestCallerGivesUp(t *testing.T) {
	take, ended := make(chan struct{}), make(chan error, 1)
	w := newPrimary(t).start(func(ctx context.Context, w *Worker) error {
		w.Ready()
		<-take
		c := <-shellworker.From(ctx).Calls
		ended <- context.Cause(c.Context())
		<-ctx.Done()
		return nil
	})
	w.await(ipc.TypeReady)
	must(t, caller(t, w, "foo").Close())
	close(take)
	if err := <-ended; !errors.Is(err, shellworker.ErrHungUp) {
		t.Errorf("context: %v, want %v", err, shellworker.ErrHungUp)
	}
}
