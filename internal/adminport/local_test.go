package adminport

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/commandline"
)

// fakeCall is a command of a local caller.
type fakeCall struct {
	args     []string
	in       io.Reader
	out, err lockedBuffer
	ctx      context.Context
	cancel   context.CancelCauseFunc
	exit     chan int
}

func newCall(args ...string) *fakeCall {
	c := &fakeCall{args: args, in: strings.NewReader(""), exit: make(chan int, 1)}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	return c
}

func (c *fakeCall) User() string             { return "ctl uid=0 pid=4711" }
func (c *fakeCall) Args() []string           { return c.args }
func (c *fakeCall) Stdin() io.Reader         { return c.in }
func (c *fakeCall) Stdout() io.Writer        { return &c.out }
func (c *fakeCall) Stderr() io.Writer        { return &c.err }
func (c *fakeCall) Context() context.Context { return c.ctx }
func (c *fakeCall) Exit(status int) error    { c.exit <- status; return nil }

// nextLocal is the Host's Local.
func (f *fixture) nextLocal(stop context.Context) (LocalCall, bool) {
	select {
	case call := <-f.local:
		return call, true
	case <-stop.Done():
		return nil, false
	}
}

func TestLocalCall(t *testing.T) {
	f := start(t, Config{})
	for _, tt := range []struct {
		args    []string
		in      string
		status  int
		out     string
		errPart string
	}{
		{[]string{"foo", "a b"}, "", 0, "foo\na b\n", ""},
		{[]string{"shut"}, "", 0, "shut\n", ""},
		{[]string{"baz"}, "21\n", 0, "21*2 = 42\n", "Give me a number: "},
		{[]string{"baz"}, "", 1, "", "end of input"},
		{[]string{"fooo"}, "", 127, "", "Did you mean: foo"},
		{nil, "", 0, "", ""},
	} {
		call := newCall(tt.args...)
		call.in = strings.NewReader(tt.in)
		f.local <- call
		status := wait(t, "the call", call.exit)
		if status != tt.status || call.out.String() != tt.out || !strings.Contains(call.err.String(), tt.errPart) {
			t.Errorf("%q: status %d, out %q, err %q", tt.args, status, call.out.String(), call.err.String())
		}
	}
	first := f.audit.events(audit.EventStart)[0]
	if first.User != "ctl uid=0 pid=4711" || first.Role != "admin" || first.Via != "ctl" {
		t.Errorf("audit: %+v", first)
	}
}

func TestLocalCallHangsUp(t *testing.T) {
	f := start(t, Config{})
	for why, want := range map[error]error{errors.New("the caller has gone"): commandline.ErrHangup, context.Canceled: context.Canceled} {
		call := newCall("wait")
		f.local <- call
		wait(t, "the command", f.started)
		call.cancel(why)
		if cause := wait(t, "the cause", f.causes); !errors.Is(cause, want) {
			t.Errorf("cause %v, want %v", cause, want)
		}
		if status := wait(t, "the call", call.exit); status != 130 {
			t.Errorf("status %d, want 130", status)
		}
	}
}

// A caller that gave up before its call was taken has been told that nothing was
// done.
func TestLocalCallTooLate(t *testing.T) {
	f := start(t, Config{})
	call := newCall("foo")
	call.cancel(commandline.ErrHangup)
	f.local <- call
	if status := wait(t, "the call", call.exit); status != 130 {
		t.Errorf("status %d, want 130", status)
	}
	if begun := f.audit.events(audit.EventStart); len(begun) != 0 || call.out.String() != "" {
		t.Errorf("%+v, output %q", begun, call.out.String())
	}
}

// A shell worker that is replaced ends no local call either.
func TestLocalCallOutlivesDraining(t *testing.T) {
	f := start(t, Config{})
	call := newCall("stuck")
	f.local <- call
	wait(t, "the command", f.started)
	close(f.draining)
	eventually(t, "the port to close", f.portClosed)
	select {
	case status := <-call.exit:
		t.Errorf("ended with %d: %s", status, call.err.String())
	default:
	}
	close(f.release)
	if status := wait(t, "the call", call.exit); status != 0 || call.err.String() != "" {
		t.Errorf("status %d, %q", status, call.err.String())
	}
	if err := wait(t, "Serve", f.served); err != nil {
		t.Error(err)
	}
	f.served <- nil // for stop
}
