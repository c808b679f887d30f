package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

// tally is the state of these tests: how many requests were answered. It is the
// state that is counted, so a request that another process answered with another
// state is seen.
type tally struct{ n atomic.Int64 }

func (c *tally) ServeHTTP(rw http.ResponseWriter, _ *http.Request) {
	c.n.Add(1)
	answer(rw, nil)
}

// counting is a module with a tally; hooks may be replaced.
func counting(version string, change ...func(*Module)) (*tally, Module) {
	c := &tally{}
	serve := func(s *Scope) error {
		s.Handle("/", c)
		s.HandleCall("tally", func(context.Context, []string) ([]byte, error) { return fmt.Append(nil, c.n.Load()), nil })
		return nil
	}
	m := Module{
		Version:      version,
		Timeout:      soon,
		Init:         func(_ context.Context, s *Scope) error { return serve(s) },
		BeforeReload: func(context.Context) (State, error) { return CBOR(c.n.Load()) },
		AfterReload: func(_ context.Context, s *Scope, state State) error {
			var n int64
			if err := state.CBOR(&n); err != nil {
				return err
			}
			c.n.Store(n)
			return serve(s)
		},
	}
	for _, f := range change {
		f(&m)
	}
	return c, m
}

// withModules is a worker that serves what modules have registered.
func withModules(all ...Module) Run {
	return func(ctx context.Context, w *Worker) error {
		for i, m := range all {
			if err := w.Register([]string{"counter", "second"}[i], m); err != nil {
				return err
			}
		}
		ln, err := w.Listener("web")
		if err != nil {
			return err
		}
		return w.ServeHTTP(ctx, &http.Server{Handler: w.Router()}, ln)
	}
}

// first starts a worker that has no predecessor.
func (p *primary) first(run Run, s ...*inherit.Group) *peer {
	p.t.Helper()
	w := p.start(run, s...)
	w.await(ipc.TypePrepared)
	w.send(ipc.TypeInherit, nil)
	w.await(ipc.TypeReady)
	return w
}

// follow starts a worker and introduces it to its predecessor.
func (p *primary) follow(old *peer, run Run, s ...*inherit.Group) *peer {
	p.t.Helper()
	next := p.start(run, s...)
	next.await(ipc.TypePrepared)
	a, b := unixPair(p.t)
	next.send(ipc.TypeInherit, nil, a)
	old.send(ipc.TypeYield, nil, b)
	must(p.t, errors.Join(unix.Close(a), unix.Close(b)))
	return next
}

// ask is a question to a worker by the primary.
func (p *primary) question(w *peer, handler string) ipc.Reply {
	p.t.Helper()
	p.ask = ipc.Question{Handler: handler, Timeout: soon}
	w.send(ipc.TypeInvite, ipc.Invite{Token: "x"})
	select {
	case r := <-p.reply:
		return r
	case <-time.After(soon):
		p.t.Fatal("no answer")
		return ipc.Reply{}
	}
}

// TestStateIsHandedOver: the successors count on where their predecessors were,
// and no client notices, over kept connections and new ones.
func TestStateIsHandedOver(t *testing.T) {
	p, s := newPrimary(t), socket(t)
	_, m := counting("v1.0.0")
	w := p.first(withModules(m), s)
	c := gather(addr(s), 6, 3)
	var last *tally
	for i := range swaps {
		old := w
		last, m = counting(fmt.Sprintf("v1.%d.0", i+1))
		w = p.follow(old, withModules(m), s)
		w.await(ipc.TypeReady)
		for range 20 {
			within(t, c.turn) // before the old one is asked to go: its connections have moved
		}
		old.send(ipc.TypeDrain, ipc.Drain{LameDuck: soon, Deadline: 2 * soon})
		if d := old.drained(); d.Cut != 0 {
			t.Errorf("%d connections were cut", d.Cut)
		}
		if err := old.exited(); err != nil {
			t.Errorf("main: %v", err)
		}
	}
	c.disperse()
	if n := c.failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed, the first: %v", n, c.asked.Load(), *c.first.Load())
	}
	if got, want := last.n.Load(), c.asked.Load()-c.failed.Load(); got != want {
		t.Errorf("the state has counted %d requests, %d were answered", got, want)
	}
}

// TestStateIsRefused: whatever a successor cannot do with the state, its
// predecessor goes on with it, and no client notices.
func TestStateIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Module)
		want   string
	}{
		"error":  {func(m *Module) { m.AfterReload = failing(errors.New("no room")) }, "module counter of web/2: AfterReload: no room"},
		"panic":  {func(m *Module) { m.AfterReload = failing(nil) }, "module counter of web/2: AfterReload: panicked: boom"},
		"hangs":  {func(m *Module) { m.AfterReload, m.Timeout = hanging(t), 50*time.Millisecond }, "module counter of web/2: AfterReload: did not return within 50ms"},
		"format": {func(m *Module) { m.AfterReload = asText }, "module counter of web/2: AfterReload: state of version v1.0.0: cbor: cannot unmarshal"},
	} {
		t.Run(name, func(t *testing.T) {
			p, s := newPrimary(t), socket(t)
			resumed := make(chan struct{}, 1)
			kept, m := counting("v1.0.0", func(m *Module) {
				m.Resume = func(context.Context) error { resumed <- struct{}{}; return nil }
			})
			w := p.first(withModules(m), s)
			c := gather(addr(s), 4, 2)
			_, m = counting("v2.0.0", tc.change)
			err := p.follow(w, withModules(m), s).exited()
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("the successor ended with %v, want %s", err, tc.want)
			}
			within(t, resumed)
			for range 20 {
				within(t, c.turn)
			}
			c.disperse()
			if n := c.failed.Load(); n > 0 {
				t.Errorf("%d of %d requests failed, the first: %v", n, c.asked.Load(), *c.first.Load())
			}
			if got, want := kept.n.Load(), c.asked.Load(); got != want {
				t.Errorf("the state has counted %d requests, %d were answered", got, want)
			}
		})
	}
}

func failing(err error) func(context.Context, *Scope, State) error {
	return func(context.Context, *Scope, State) error {
		if err == nil {
			panic("boom")
		}
		return err
	}
}

// hanging does not return before the test ends.
func hanging(t *testing.T) func(context.Context, *Scope, State) error {
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	return func(context.Context, *Scope, State) error { <-over; return nil }
}

func asText(_ context.Context, _ *Scope, state State) error {
	var text string
	return state.CBOR(&text)
}

// TestStateIsKept: a successor that ends after it took the state, before it has
// taken over, leaves it to its predecessor, and so does one that never answers.
func TestStateIsKept(t *testing.T) {
	p, s := newPrimary(t), socket(t)
	kept, m := counting("v1.0.0")
	w := p.first(withModules(m), s)
	c := gather(addr(s), 2, 0)
	_, m = counting("v1.1.0", func(m *Module) {
		m.Finalize = func(context.Context) error { t.Error("Finalize of a state that went back"); return nil }
	})
	next := p.follow(w, withModules(m), s)
	next.await(ipc.TypeReady)
	within(t, c.turn)
	if r := p.question(w, "tally"); r.Err() == nil || !strings.Contains(r.Err().Error(), "the successor of this worker has its state by now") {
		t.Errorf("the worker answers %q, %v, although its state has gone", r.Body, r.Err())
	}
	c.disperse()
	next.send(ipc.TypeDrain, ipc.Drain{LameDuck: soon, Deadline: 2 * soon})
	_ = next.exited()
	before := kept.n.Load()
	c = gather(addr(s), 2, 2)
	for range 20 {
		within(t, c.turn)
	}
	c.disperse()
	if n := c.failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed, the first: %v", n, c.asked.Load(), *c.first.Load())
	}
	if got, want := kept.n.Load(), before+c.asked.Load(); got != want {
		t.Errorf("the state has counted %d requests, want %d", got, want)
	}
}

// TestStateStaysAtDrain: a worker that is asked to end while it hands over ends
// with its state, by Finalize, and its successor does not begin.
func TestStateStaysAtDrain(t *testing.T) {
	p, s := newPrimary(t), socket(t)
	asked, finalized := make(chan struct{}), make(chan struct{})
	_, m := counting("v1.0.0", func(m *Module) {
		m.BeforeReload = func(ctx context.Context) (State, error) {
			close(asked)
			<-ctx.Done()
			return State{}, ctx.Err()
		}
		m.Finalize = func(context.Context) error { close(finalized); return nil }
	})
	w := p.first(withModules(m), s)
	_, m = counting("v2.0.0")
	next := p.follow(w, withModules(m), s)
	within(t, asked)
	w.send(ipc.TypeDrain, ipc.Drain{Deadline: soon})
	within(t, finalized)
	if err := w.exited(); err != nil {
		t.Error(err)
	}
	if err := next.exited(); err == nil || !strings.Contains(err.Error(), "BeforeReload") {
		t.Errorf("the successor ended with %v", err)
	}
}

// TestStateOfAnySize: inline, as sealed memory, with files and with connections.
func TestStateOfAnySize(t *testing.T) {
	for _, size := range []int{0, inlineState, inlineState + 1, 3 << 20} {
		p, s := newPrimary(t), socket(t)
		want := bytes.Repeat([]byte("state"), size/5+1)[:size]
		_, m := counting("v1.0.0", func(m *Module) {
			m.BeforeReload = func(context.Context) (State, error) {
				state := State{Data: want}
				for i := range 100 {
					f, err := Memory("page")
					if err != nil {
						return state, err
					}
					_, _ = fmt.Fprint(f, i)
					state.Files = append(state.Files, f)
				}
				return state, nil
			}
		})
		w := p.first(withModules(m), s)
		_, m = counting("v1.0.0", func(m *Module) {
			m.AfterReload = func(_ context.Context, _ *Scope, state State) error {
				if !bytes.Equal(state.Data, want) || len(state.Files) != 100 {
					return fmt.Errorf("%d bytes, %d files", len(state.Data), len(state.Files))
				}
				for i, f := range state.Files {
					var n [8]byte
					if k, _ := f.ReadAt(n[:], 0); string(n[:k]) != fmt.Sprint(i) {
						return fmt.Errorf("file %d holds %q", i, n[:k])
					}
				}
				return nil
			}
		})
		p.follow(w, withModules(m), s).await(ipc.TypeReady)
		w.send(ipc.TypeDrain, ipc.Drain{Deadline: soon})
		must(t, w.exited())
	}
}

// TestStateChangesItsSize: what was reserved for a state of the size before does not
// matter to the next one.
func TestStateChangesItsSize(t *testing.T) {
	p, s := newPrimary(t), socket(t)
	had := -1
	sized := func(next int) Run {
		_, m := counting("v1.0.0", func(m *Module) {
			m.BeforeReload = func(context.Context) (State, error) {
				return State{Data: bytes.Repeat([]byte{byte(next) + 1}, next)}, nil
			}
			m.AfterReload = func(_ context.Context, _ *Scope, state State) error {
				if want := bytes.Repeat([]byte{byte(had) + 1}, had); !bytes.Equal(state.Data, want) {
					return fmt.Errorf("%d bytes, want %d", len(state.Data), had)
				}
				return nil
			}
		})
		return withModules(m)
	}
	sizes := []int{3 << 20, 1<<20 + 7, 5<<20 + 1, inlineState, 2 << 20, 0}
	w := p.first(sized(sizes[0]), s)
	for i, size := range sizes[1:] {
		had = sizes[i]
		next := p.follow(w, sized(size), s)
		next.await(ipc.TypeReady)
		w.send(ipc.TypeDrain, ipc.Drain{Deadline: soon})
		must(t, w.exited())
		w = next
	}
}

// TestRoomIsReserved: the kernel has given it before the state is there, for those
// modules alone whose states are copied.
func TestRoomIsReserved(t *testing.T) {
	give := Module{Version: "v1.0.0", BeforeReload: func(context.Context) (State, error) { return State{}, nil }}
	w := loaded(t, map[string]Module{"large": give, "small": give}, "large", "small")
	all := w.modules.list()
	all[0].began, all[1].began = 3<<20, inlineState
	y := &handing{w: w}
	y.makeRoom()
	defer y.closeRoom()
	if f := y.room[all[0]]; f == nil || len(y.room) != 1 {
		t.Fatalf("reserved: %v", y.room)
	}
	info, err := y.room[all[0]].Stat()
	must(t, err)
	if got := info.Sys().(*syscall.Stat_t).Blocks * 512; got < 3<<20 {
		t.Errorf("the kernel has given %d bytes", got)
	}
}
