package workertest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/worker"
	"github.com/norestart/norestart/worker/workertest"
)

// TestReload: state and connections go to the successor, and back to an earlier
// version.
func TestReload(t *testing.T) {
	t.Parallel()
	slot := workertest.Start(t, norestart.Pool{Run: (&tally{version: "v1.0.0"}).run})
	first := get(t, slot)
	if !strings.HasPrefix(first, "v1.0.0 request 1 of web/0, generation 1, from ") {
		t.Errorf("the worker answers %q", first)
	}
	must(t, slot.Reload((&tally{version: "v2.0.0"}).run))
	second := get(t, slot)
	if want := strings.NewReplacer("v1", "v2", "request 1", "request 2", "generation 1", "generation 2").Replace(first); second != want {
		t.Errorf("the successor answers %q, want %q on the same connection", second, want)
	}
	must(t, slot.Reload((&tally{version: "v1.0.0"}).run))
	if got, err := slot.Call(t.Context(), "count", "a", "b"); err != nil || string(got) != "2 [a b]" {
		t.Errorf("the call is answered by %q, %v", got, err)
	}
}

// TestReloadIsRefused: the worker goes on with its state, and is settled when
// Reload returns.
func TestReloadIsRefused(t *testing.T) {
	t.Parallel()
	errNoRoom, resumed := errors.New("no room"), false
	slot := workertest.Start(t, norestart.Pool{Run: (&tally{version: "v1.0.0", change: func(m *worker.Module) {
		m.Resume = func(context.Context) error { resumed = true; return nil }
	}}).run})
	get(t, slot)
	err := slot.Reload((&tally{version: "v2.0.0", change: func(m *worker.Module) {
		m.AfterReload = func(context.Context, *worker.Scope, worker.State) error { return errNoRoom }
	}}).run)
	if !errors.Is(err, errNoRoom) || err.Error() != "reload: module tally of web/0: AfterReload: no room" {
		t.Errorf("the reload ends with %v", err)
	}
	if !resumed {
		t.Error("the worker has not taken its work again")
	}
	must(t, slot.ReloadModules(t.Context(), "tally"))
	if got := get(t, slot); !strings.HasPrefix(got, "v1.0.0 request 2 ") {
		t.Errorf("the worker answers %q", got)
	}
	if err := slot.Reload(func(context.Context, *worker.Worker) error { return nil }); err == nil || err.Error() != "reload: worker.Run has returned before the worker was ready" {
		t.Errorf("the reload ends with %v", err)
	}
	if err := slot.Reload(func(context.Context, *worker.Worker) error { runtime.Goexit(); return nil }); err == nil || !strings.Contains(err.Error(), "t.FailNow") {
		t.Errorf("the reload ends with %v", err)
	}
}

// TestReloadModules: an unknown module is refused with its name.
func TestReloadModules(t *testing.T) {
	t.Parallel()
	c := &tally{version: "v1.0.0"}
	slot := workertest.Start(t, norestart.Pool{Run: c.run})
	get(t, slot)
	must(t, slot.ReloadModules(t.Context()))
	if got := get(t, slot); !strings.HasPrefix(got, "v1.0.0 request 2 ") {
		t.Errorf("the worker answers %q", got)
	}
	if err := slot.ReloadModules(t.Context(), "other"); !errors.Is(err, control.ErrUsage) || !strings.Contains(err.Error(), `"other"`) {
		t.Errorf("another module: %v", err)
	}
	if _, err := slot.Call(t.Context(), "other"); !errors.Is(err, control.ErrNoHandler) {
		t.Errorf("another handler: %v", err)
	}
}

// TestReloadUnderWay: a request that is under way is answered by the worker that
// took it, while its successor serves already.
func TestReloadUnderWay(t *testing.T) {
	t.Parallel()
	took, proceed := make(chan struct{}), make(chan struct{})
	slow := func(rw http.ResponseWriter, _ *http.Request) {
		close(took)
		<-proceed
		_, _ = io.WriteString(rw, "old")
	}
	slot := workertest.Start(t, norestart.Pool{Run: serving(slow)})
	answer := make(chan string)
	go func() { answer <- get(t, slot) }()
	<-took
	must(t, slot.Reload(serving(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "new") })))
	if got := get(t, slot); got != "new" {
		t.Errorf("the successor answers %q", got)
	}
	close(proceed)
	if got := <-answer; got != "old" {
		t.Errorf("the request under way was answered by %q", got)
	}
}

// TestConnectionsMove: also those of a worker without modules, at the latest after
// the answer that is under way.
func TestConnectionsMove(t *testing.T) {
	t.Parallel()
	slot := workertest.Start(t, norestart.Pool{Run: naming("old")})
	before := get(t, slot)
	must(t, slot.Reload(naming("new")))
	for who, addr, _ := strings.Cut(before, " "); who != "new"; {
		var now string
		if who, now, _ = strings.Cut(get(t, slot), " "); now != addr {
			t.Fatalf("the client of %s comes from %s, and came from %s", who, now, addr)
		}
	}
}

// naming is a worker that says its name, and where its client comes from.
func naming(name string) worker.Run {
	return serving(func(rw http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(rw, name, " ", r.RemoteAddr) })
}

func serving(h http.HandlerFunc) worker.Run {
	return func(ctx context.Context, w *worker.Worker) error {
		ln, err := w.Listener("web")
		if err != nil {
			return err
		}
		return w.ServeHTTP(ctx, &http.Server{Handler: h}, ln)
	}
}

// TestDrain: Finalize is called, its error is that of Drain and of nothing else, and
// the slot can be filled again.
func TestDrain(t *testing.T) {
	t.Parallel()
	errFull := errors.New("disk full")
	slot := workertest.Start(t, norestart.Pool{Run: (&tally{version: "v1.0.0", change: func(m *worker.Module) {
		m.Finalize = func(context.Context) error { return errFull }
	}}).run})
	get(t, slot)
	if err := slot.Drain(); !errors.Is(err, errFull) {
		t.Errorf("Drain: %v", err)
	}
	if _, err := slot.Call(t.Context(), "count"); err == nil || err.Error() != "the worker has ended" {
		t.Errorf("a call to a slot without a worker: %v", err)
	}
	must(t, slot.Reload((&tally{version: "v1.0.0"}).run))
	if got := get(t, slot); !strings.HasPrefix(got, "v1.0.0 request 1 of web/0, generation 2") {
		t.Errorf("the next worker answers %q", got)
	}
}

// TestListeners: names are those of a cluster, addresses are free ones.
func TestListeners(t *testing.T) {
	t.Parallel()
	const one = "unix:///run/one.sock" // of a machine that a test must not touch
	slot := workertest.Start(t, norestart.Pool{Name: "api", Listen: []string{one, "tcp://:80", "admin=tcp://[::1]:81"}, Run: func(ctx context.Context, w *worker.Worker) error {
		for _, name := range []string{"api-2", "admin"} {
			if _, err := w.Listener(name); err != nil {
				return err
			}
		}
		ln, err := w.Listener("api")
		if err != nil {
			return err
		}
		return w.ServeHTTP(ctx, &http.Server{Handler: http.NotFoundHandler()}, ln)
	}})
	if got := get(t, slot); got != "404 page not found\n" {
		t.Errorf("the unix socket answers %q", got)
	}
	if _, err := os.Stat(slot.Addr("api")); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"api-2", "admin"} {
		if host, port, err := net.SplitHostPort(slot.Addr(name)); err != nil || host != "127.0.0.1" || port == "80" || port == "81" {
			t.Errorf("%s listens on %s", name, slot.Addr(name))
		}
	}
}

// TestNoCluster: a worker learns that there is none.
func TestNoCluster(t *testing.T) {
	t.Parallel()
	var got error
	slot := workertest.Start(t, norestart.Pool{Name: "jobs", Run: func(ctx context.Context, w *worker.Worker) error {
		_, got = control.Get(ctx, w.Control(""), control.StatusQuery{})
		w.Ready()
		<-ctx.Done()
		return nil
	}})
	if !errors.Is(got, control.ErrUnavailable) || !strings.Contains(got.Error(), "no cluster") {
		t.Errorf("status: %v", got)
	}
	if err := slot.Drain(); err != nil {
		t.Error(err)
	}
}

// failing is a test that notes why it fails.
type failing struct {
	testing.TB
	cleanups []func()
	said     []string
}

func (f *failing) Cleanup(end func()) { f.cleanups = append(f.cleanups, end) }
func (f *failing) Errorf(format string, args ...any) {
	f.said = append(f.said, fmt.Sprintf(format, args...))
}
func (f *failing) Fatalf(format string, args ...any) { f.Errorf(format, args...); runtime.Goexit() }
func (f *failing) Fatal(args ...any)                 { f.Fatalf("%s", fmt.Sprint(args...)) }

// failure is what a test ends with.
func failure(t *testing.T, test func(testing.TB)) string {
	t.Helper()
	f := &failing{TB: t}
	over := make(chan struct{})
	go func() {
		defer close(over)
		defer func() {
			for _, end := range slices.Backward(f.cleanups) {
				end()
			}
		}()
		test(f)
	}()
	<-over
	return strings.Join(f.said, "\n")
}

// TestFailuresAreTold: a pool that is not right, a worker that does not become
// ready, and one that ends with an error fail the test.
func TestFailuresAreTold(t *testing.T) {
	t.Parallel()
	idle := func(ctx context.Context, w *worker.Worker) error {
		<-ctx.Done()
		return nil
	}
	broken := func(ctx context.Context, w *worker.Worker) error {
		w.Ready()
		<-ctx.Done()
		return errors.New("broken")
	}
	for want, pool := range map[string]norestart.Pool{
		"": {Run: (&tally{version: "v1.0.0"}).run},
		"workertest: worker web/0: there is no worker.Run":                                                               {},
		`workertest: listen "tcp://localhost:80": want an IP address and a port, as in "127.0.0.1:8080" or "[::1]:8080"`: {Name: "web", Listen: []string{"tcp://localhost:80"}, Run: idle},
		`workertest: worker jobs/0: no listener "web": pool jobs has none`:                                               {Name: "jobs", Run: serving(nil)},
		"workertest: worker web/0: not ready within 1ms: Run calls Ready, ServeHTTP or the like":                         {Run: idle, ReadyTimeout: time.Millisecond},
		"workertest: worker web/0, incarnation 1: broken":                                                                {Run: broken},
	} {
		if diff := cmp.Diff(want, failure(t, func(t testing.TB) { workertest.Start(t, pool) })); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	got := failure(t, func(t testing.TB) { workertest.Start(t, norestart.Pool{Run: serving(nil)}).Addr("api") })
	if want := `workertest: pool web has no listener "api"`; got != want {
		t.Errorf("another listener: %s", got)
	}
}
