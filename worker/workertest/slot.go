package workertest

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/norestart/norestart"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/harness"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/worker"
)

// Slot is one slot of a pool, whose workers run in the test's own process. It
// keeps its address while they come and go. Its methods may be called from any
// goroutine.
type Slot struct {
	t         testing.TB
	spec      control.PoolSpec
	state     string
	primary   *primary
	listeners []listener
	client    *http.Client

	reloading sync.Mutex // one Reload or Drain at a time
	mu        sync.Mutex // a leaf; protects what follows
	all       []*process // the last one is in the slot
}

// lameDuck is that of a pool that names none: the default would make a test wait.
const lameDuck = 100 * time.Millisecond

// Start runs a worker of pool, as slot 0 of it, and waits until it is ready; if it
// does not become so, the test fails. Of the pool count Name, Listen, Run,
// ReadyTimeout (30 s), LameDuck (100 ms here) and DrainTimeout (30 s). Addresses
// are replaced by free ones: ports of loopback, files in a directory of the test.
// A pool without a Name is "web", and has a listener of that name if Listen is
// empty. The worker is drained when the test is over, which fails if Run returns
// an error.
func Start(t testing.TB, pool norestart.Pool) *Slot {
	t.Helper()
	if pool.Name == "" {
		pool.Name = "web"
		if len(pool.Listen) == 0 {
			pool.Listen = []string{"tcp://127.0.0.1:0"}
		}
	}
	if pool.LameDuck == 0 {
		pool.LameDuck = lameDuck
	}
	s := &Slot{t: t, state: t.TempDir(), spec: control.PoolSpec{
		Name: pool.Name, ReadyTimeout: pool.ReadyTimeout, LameDuck: pool.LameDuck, DrainTimeout: pool.DrainTimeout,
	}.WithDefaults()}
	var err error
	if s.listeners, err = listen(pool, t.TempDir()); err != nil {
		t.Fatal("workertest: ", err)
	}
	if s.primary, err = newPrimary(t.TempDir()); err != nil {
		closeAll(s.listeners)
		t.Fatal("workertest: ", err)
	}
	s.client = &http.Client{Transport: &http.Transport{DialContext: s.dial}}
	t.Cleanup(s.end)
	p, err := s.raise(pool.Run)
	if err != nil {
		t.Fatalf("workertest: worker %s/0: %v", s.spec.Name, err)
	}
	s.put(p)
	return s
}

// Addr is the address of a listener, as "127.0.0.1:43210", or the path of a unix
// socket. The pool must have it, as [worker.Worker.Listener] says.
func (s *Slot) Addr(name string) string {
	s.t.Helper()
	for _, l := range s.listeners {
		if l.name == name {
			return l.addr()
		}
	}
	s.t.Fatalf("workertest: pool %s has no listener %q", s.spec.Name, name)
	return ""
}

// URL is that of the pool's first listener, as "http://127.0.0.1:43210".
func (s *Slot) URL() string {
	s.t.Helper()
	switch {
	case len(s.listeners) == 0:
		s.t.Fatalf("workertest: pool %s has no listener", s.spec.Name)
	case s.listeners[0].network() == "unix":
		return "http://localhost" // see dial
	}
	return "http://" + s.listeners[0].addr()
}

// Client keeps its connections, over reloads too, until the test is over. It
// reaches [Slot.URL], also that of a unix socket.
func (s *Slot) Client() *http.Client { return s.client }

func (s *Slot) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if len(s.listeners) > 0 && s.listeners[0].network() == "unix" {
		network, addr = "unix", s.listeners[0].addr()
	}
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

// Call asks the worker, as `norestart ctl call` and [control.CallRequest] do. It
// has a minute if ctx has no deadline. A handler that is missing is
// [control.ErrNoHandler].
func (s *Slot) Call(ctx context.Context, handler string, args ...string) ([]byte, error) {
	return s.primary.ask(ctx, s.current(), handler, args)
}

// Send sends a message to the mailbox of the worker, in the worker's own name, and
// returns when it was handled, see [worker.Worker.Send]. It has a minute if ctx has
// no deadline.
func (s *Slot) Send(ctx context.Context, data []byte) error {
	within := patience
	if until, limited := ctx.Deadline(); limited {
		within = time.Until(until)
	}
	id := s.spec.Name + "/0"
	_, err := s.Call(ctx, control.HandlerMailSend, id, id, string(data), within.String())
	return err
}

// ReloadModules takes modules through their hooks in the living worker, as
// `norestart ctl module reload` does: those that are named, or all.
func (s *Slot) ReloadModules(ctx context.Context, names ...string) error {
	token := rand.Text()
	if _, err := s.Call(ctx, control.HandlerModulePrepare, append([]string{token}, names...)...); err != nil {
		return err
	}
	_, err := s.Call(ctx, control.HandlerModuleSwitch, token)
	return err
}

// Reload starts a successor, with next as its code. It gets the states of the
// modules from the worker in the slot, takes its place when it is ready, and gets
// its connections. Reload returns when the one before accepts no more; that one
// may still finish what it has. If the successor does not become ready, because a
// hook fails or Run returns, the error tells why, and the worker before goes on.
func (s *Slot) Reload(next worker.Run) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	old := s.current()
	p, err := s.raise(next)
	if err != nil {
		s.settle(old)
		return fmt.Errorf("reload: %w", err)
	}
	s.put(p)
	if old.ended() {
		return nil
	}
	if err := s.retire(old, p); err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	old.await(ipc.TypeClosed)
	return nil
}

// Drain asks the worker to drain, as when its slot is emptied: it accepts for the
// pool's LameDuck, finishes what it has, and its [worker.Worker.Context] ends after
// DrainTimeout. Drain returns what Run returned. [Slot.Reload] fills the slot again.
func (s *Slot) Drain() error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	p := s.current()
	d := s.drain()
	d.Linger = true
	return cmp.Or(p.stop(d), p.tell())
}

func (s *Slot) drain() ipc.Drain {
	return ipc.Drain{LameDuck: s.spec.LameDuck, Deadline: s.spec.LameDuck + s.spec.DrainTimeout}
}

// cut is the drain of a worker that was never ready.
func (s *Slot) cut() ipc.Drain { return ipc.Drain{Final: true, Deadline: s.spec.KillAfter} }

// current is the process in the slot; nil: there has been none.
func (s *Slot) current() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) == 0 {
		return nil
	}
	return s.all[len(s.all)-1]
}

func (s *Slot) put(p *process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, p)
}

// raise starts a worker and waits until it is ready.
func (s *Slot) raise(run worker.Run) (*process, error) {
	p, err := s.launch(run)
	if err != nil {
		return nil, err
	}
	late := time.NewTimer(s.spec.ReadyTimeout)
	defer late.Stop()
	for {
		select {
		case <-p.prepared:
			if err := s.introduce(p); err != nil {
				return nil, errors.Join(err, p.stop(s.cut()))
			}
		case <-p.said[ipc.TypeReady]:
			return p, nil
		case <-p.over:
			return nil, p.why()
		case <-late.C:
			return nil, errors.Join(fmt.Errorf("not ready within %v: Run calls Ready, ServeHTTP or the like", s.spec.ReadyTimeout), p.stop(s.cut()))
		}
	}
}

// settle waits until a worker whose successor has failed has taken its work again.
func (s *Slot) settle(p *process) {
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	_ = harness.Poll(ctx, func() bool {
		_, err := s.primary.ask(ctx, p, control.HandlerModulePrepare, []string{rand.Text(), ""}) // no module has that name
		return !errors.Is(err, control.ErrBusy)
	})
}

// end is for the end of the test.
func (s *Slot) end() {
	s.client.CloseIdleConnections()
	s.mu.Lock()
	all := slices.Clone(s.all)
	s.mu.Unlock()
	for _, p := range slices.Backward(all) {
		d := s.drain()
		d.Final = true
		if err := cmp.Or(p.stop(d), p.tell()); err != nil {
			s.t.Errorf("workertest: worker %s/0, incarnation %d: %v", s.spec.Name, p.incarnation, err)
		}
	}
	s.primary.close()
	closeAll(s.listeners)
}
