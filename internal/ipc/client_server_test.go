package ipc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
)

// serve answers on a real socket with c, in whosever name, and returns a
// client. It ends with the test.
func serve(t testing.TB, c control.Control, allow func(*Request) error) *Client {
	t.Helper()
	srv := &Server{As: func(string) control.Control { return c }}
	return listen(t, func(conn *Conn) {
		if m, err := conn.Receive(soon); err != nil || m.Type != TypeHello {
			t.Errorf("hello: %s, %v", m.Type, err)
			return
		}
		conn.Trust(false)
		if conn.Send(soon, TypeWelcome, Welcome{Protocol: Version, Name: "test", PID: 1}) != nil {
			return
		}
		m, err := conn.Receive(soon)
		if err != nil {
			return // it went away
		}
		var r Request
		if err := m.Decode(&r); err != nil {
			t.Errorf("request: %v", err)
		}
		_ = srv.Answer(context.Background(), conn, r, allow) // it may have gone
	})
}

// listen holds each conversation of a socket by hold.
func listen(t testing.TB, hold func(*Conn)) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.AcceptUnix()
			if err != nil {
				return
			}
			wg.Go(func() {
				conn := NewConn(c)
				defer conn.Close()
				hold(conn)
			})
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return &Client{User: "viola", Dial: func(ctx context.Context) (*net.UnixConn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "unix", path)
		if err != nil {
			return nil, err
		}
		return c.(*net.UnixConn), nil
	}}
}

func anyone(*Request) error { return nil }

// collect is a callback that keeps what it is told.
func collect[I any](into *[]I) func(I) error {
	return func(i I) error { *into = append(*into, i); return nil }
}

func TestErrorsOnTheWire(t *testing.T) {
	tests := map[string]struct {
		err  error
		is   *control.Error
		text string
		hint string
	}{
		"wrapped":  {fmt.Errorf("scale web: %w", control.ErrNoPool), control.ErrNoPool, "scale web: no such pool", "status"},
		"foreign":  {errors.New("disk full"), control.ErrInternal, "disk full", ""},
		"a newer":  {&control.Error{Code: "from_the_future", Message: "m"}, &control.Error{Code: "from_the_future"}, "m", ""},
		"stopping": {control.ErrStopping, control.ErrStopping, "the cluster is stopping", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := control.Get(t.Context(), serve(t, &fake{fail: test.err}, anyone), control.StatusQuery{})
			e, ok := errors.AsType[*control.Error](err)
			if !ok || !errors.Is(err, test.is) || e.Message != test.text || e.Hint != test.hint {
				t.Errorf("%#v, want code %s, %q, hint %q", err, test.is.Code, test.text, test.hint)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	c := serve(t, &fake{}, func(r *Request) error {
		return fmt.Errorf("%w: %s may not %s", control.ErrDenied, r.User, r.Method)
	})
	_, err := control.Get(t.Context(), c.As("mallory"), control.StatusQuery{})
	if !errors.Is(err, control.ErrDenied) || !strings.Contains(err.Error(), "mallory may not status") {
		t.Errorf("%v", err)
	}
	if c.User != "viola" {
		t.Error("As changed the client itself")
	}
	stranger := listen(t, func(conn *Conn) {
		_, _ = conn.Receive(soon)
		_ = conn.Send(soon, TypeRefused, FailureOf(control.ErrDenied))
	})
	if _, err := control.Get(t.Context(), stranger, control.StatusQuery{}); !errors.Is(err, control.ErrDenied) {
		t.Errorf("a refused hello: %v, want %v", err, control.ErrDenied)
	}
}

func TestUnknownMethod(t *testing.T) {
	fly := travels[noAnswer]("fly")
	_, err := serve(t, &fake{}, anyone).ask(t.Context(), fly, noAnswer{}, nil)
	if !errors.Is(err, control.ErrUsage) || !strings.Contains(err.Error(), `"fly"`) {
		t.Errorf("%v", err)
	}
}

func TestBadArgument(t *testing.T) {
	f := &fake{}
	_, err := serve(t, f, anyone).ask(t.Context(), travels[[]string]("scale"), []string{"not", "a", "request"}, nil)
	if !errors.Is(err, control.ErrUsage) || len(f.asked()) > 0 {
		t.Errorf("%v, and the cluster was asked %v", err, f.asked())
	}
}

func TestNobodyThere(t *testing.T) {
	c := &Client{Dial: func(context.Context) (*net.UnixConn, error) { return nil, errors.New("no such file") }}
	if _, err := control.Get(t.Context(), c, control.StatusQuery{}); !errors.Is(err, control.ErrUnavailable) {
		t.Errorf("%v, want %v", err, control.ErrUnavailable)
	}
	for name, hold := range map[string]func(*Conn){
		"ends at once": func(*Conn) {},
		"ends after the greeting": func(c *Conn) {
			_, _ = c.Receive(soon)
			_ = c.Send(soon, TypeWelcome, Welcome{})
		},
		"ends in the answer": func(c *Conn) {
			_, _ = c.Receive(soon)
			_ = c.Send(soon, TypeWelcome, Welcome{})
			_, _ = c.Receive(soon)
			_, _ = c.c.Write([]byte{0xa1})
		},
	} {
		if _, err := control.Get(t.Context(), listen(t, hold), control.StatusQuery{}); !errors.Is(err, control.ErrUnavailable) {
			t.Errorf("a primary that %s: %v, want %v", name, err, control.ErrUnavailable)
		}
	}
}

func TestAnswerTooLarge(t *testing.T) {
	big := &bigWorker{}
	_, err := control.Get(t.Context(), serve(t, big, anyone), control.WorkerQuery{ID: "web/0"})
	if !errors.Is(err, control.ErrInternal) || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("%v", err)
	}
}

type bigWorker struct{ fake }

func (*bigWorker) Get(context.Context, any) (any, error) {
	return control.WorkerDetail{Lines: []string{strings.Repeat("x", MessageLimit)}}, nil
}

// TestCancel: the end of the client's context is the end of the server's.
func TestCancel(t *testing.T) {
	ended := make(chan struct{})
	c := serve(t, &streaming{log: func(ctx context.Context, fn func(control.LogLine) error) error {
		defer close(ended)
		if err := fn(control.LogLine{Text: "first"}); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}}, anyone)
	why := errors.New("she pressed Ctrl-C")
	ctx, cancel := context.WithCancelCause(t.Context())
	err := control.Watch(ctx, c, control.LogQuery{Follow: true}, func(control.LogLine) error { cancel(why); return nil })
	if err != why {
		t.Errorf("%v, want %v", err, why)
	}
	within(t, ended, "the server goes on after its client")
}

// TestCallbackEnds: an error of the callback comes back as it is.
func TestCallbackEnds(t *testing.T) {
	ended := make(chan struct{})
	c := serve(t, &streaming{log: func(ctx context.Context, fn func(control.LogLine) error) error {
		defer close(ended)
		for {
			if err := fn(control.LogLine{Text: "more"}); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}}, anyone)
	enough := errors.New("enough")
	if err := control.Watch(t.Context(), c, control.LogQuery{}, func(control.LogLine) error { return enough }); err != enough {
		t.Errorf("%v, want %v", err, enough)
	}
	within(t, ended, "the server goes on after its client")
}

// TestCancelInGreeting: a caller with a context is not held up by a primary that
// does not even answer the hello.
func TestCancelInGreeting(t *testing.T) {
	greeting, over := make(chan struct{}), make(chan struct{})
	c := listen(t, func(conn *Conn) { close(greeting); <-over })
	defer close(over)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-greeting; cancel() }()
	before := time.Now()
	if _, err := control.Get(ctx, c, control.StatusQuery{}); err != context.Canceled {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
	if d := time.Since(before); d > HelloTimeout/2 {
		t.Errorf("it took %v", d)
	}
}

// TestDeadline: a primary that says nothing more is told from one that is slow.
func TestDeadline(t *testing.T) {
	c := serve(t, &silent{}, anyone)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := control.Get(ctx, c, control.StatusQuery{})
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, control.ErrTimeout) {
		t.Errorf("%v", err)
	}
}

type silent struct{ fake }

func (*silent) Get(ctx context.Context, _ any) (any, error) {
	<-ctx.Done()
	return control.Status{}, ctx.Err()
}

// TestSlowReader: the kernel's buffer holds the writer back, and nothing is lost.
func TestSlowReader(t *testing.T) {
	const lines = 4000
	var written atomic.Int64
	long := strings.Repeat("x", 2000)
	c := serve(t, &streaming{log: func(_ context.Context, fn func(control.LogLine) error) error {
		for i := range lines {
			if err := fn(control.LogLine{Cursor: control.Cursor{Seq: uint64(i)}, Text: long}); err != nil {
				return err
			}
			written.Add(1)
		}
		return nil
	}}, anyone)
	next := uint64(0)
	err := control.Watch(t.Context(), c, control.LogQuery{}, func(l control.LogLine) error {
		if l.Seq != next {
			return fmt.Errorf("line %d, want %d", l.Seq, next)
		}
		if ahead := written.Load() - int64(next); ahead > lines/2 {
			return fmt.Errorf("the writer is %d lines ahead", ahead)
		}
		next++
		return nil
	})
	if err != nil || next != lines {
		t.Errorf("%d lines, %v", next, err)
	}
}

// TestIdle: a stream without news says that it goes on, and only then.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := conns(t)
		beating := newBeating(a)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); beating.run(ctx) }()
		time.Sleep(idleEvery - 1)
		must(t, beating.item("news"))
		time.Sleep(idleEvery - 1)
		must(t, a.Send(soon, "first mark", nil))
		time.Sleep(2 * time.Nanosecond)
		must(t, a.Send(soon, "second mark", nil))
		cancel()
		<-done
		var got []string
		for range 4 {
			m, err := b.Receive(soon)
			must(t, err)
			got = append(got, m.Type)
		}
		if d := cmp.Diff([]string{TypeItem, "first mark", TypeIdle, "second mark"}, got); d != "" {
			t.Errorf("messages (-want +got):\n%s", d)
		}
	})
}

// TestIdleIsPatience: the client takes it as a sign of life and for nothing else.
func TestIdleIsPatience(t *testing.T) {
	c := listen(t, func(conn *Conn) {
		_, _ = conn.Receive(soon)
		_ = conn.Send(soon, TypeWelcome, Welcome{})
		_, _ = conn.Receive(soon)
		_ = conn.Send(soon, TypeIdle, nil)
		_ = conn.Send(soon, "of a newer primary", nil)
		_ = conn.Send(soon, TypeItem, control.LogLine{Text: "news"})
		_ = conn.Send(soon, TypeIdle, nil)
		_ = conn.Send(soon, TypeReply, Reply{})
	})
	var got []control.LogLine
	must(t, control.Watch(t.Context(), c, control.LogQuery{}, collect(&got)))
	if d := cmp.Diff([]control.LogLine{{Text: "news"}}, got); d != "" {
		t.Errorf("lines (-want +got):\n%s", d)
	}
}

func within(t *testing.T, done <-chan struct{}, otherwise string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(soon):
		t.Fatal(otherwise)
	}
}

func BenchmarkRequest(b *testing.B) {
	c := serve(b, &fake{}, anyone)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := control.Get(b.Context(), c, control.StatusQuery{}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestRefusedBeforeHello: a primary that has no place for a connection says so
// and closes it, perhaps before the hello has gone.
func TestRefusedBeforeHello(t *testing.T) {
	_, _, err := Open(t.Context(), func(context.Context) (*net.UnixConn, error) {
		ours, theirs := pair(t)
		primary := NewConn(theirs)
		return ours, errors.Join(primary.Send(soon, TypeRefused, FailureOf(control.ErrBusy)), primary.Close())
	}, Hello{})
	if !errors.Is(err, control.ErrBusy) {
		t.Errorf("%v, want busy", err)
	}
}
