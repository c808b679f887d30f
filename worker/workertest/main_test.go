package workertest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/norestart/norestart"
	"github.com/norestart/norestart/worker"
	"github.com/norestart/norestart/worker/workertest"
)

func TestMain(m *testing.M) {
	if os.Getenv(withoutMain) == "" {
		workertest.Main(app)
	}
	goleak.VerifyTestMain(m)
}

// withoutMain is set for a cluster of a test whose TestMain does not call Main.
const withoutMain = "WORKERTEST_WITHOUT_MAIN"

// app is what the clusters of these tests run.
var app = norestart.App{Name: "test", Pools: []norestart.Pool{
	{Name: "web", Workers: 2, LameDuck: 100 * time.Millisecond, Listen: []string{"tcp://127.0.0.1:80", "unix:///run/web.sock"}, Run: (&tally{version: "v1.0.0"}).run},
	{Name: "jobs", Workers: 1, Run: func(ctx context.Context, w *worker.Worker) error {
		w.Ready()
		<-ctx.Done()
		return nil
	}},
}}

// soon is how long anything in these tests may take before it has failed.
const soon = time.Minute

// tally is a module that counts requests, in a state of its version.
type tally struct {
	version string
	n       atomic.Int64
	change  func(*worker.Module) // may be nil
}

func (c *tally) run(ctx context.Context, w *worker.Worker) error {
	m := worker.Module{
		Version: c.version, Timeout: soon,
		Init:         func(_ context.Context, s *worker.Scope) error { c.begin(s, w); return nil },
		BeforeReload: func(context.Context) (worker.State, error) { return worker.JSON(c.n.Load()) },
		AfterReload: func(_ context.Context, s *worker.Scope, from worker.State) error {
			var n int64
			err := from.JSON(&n)
			c.n.Store(n)
			c.begin(s, w)
			return err
		},
	}
	if c.change != nil {
		c.change(&m)
	}
	if err := w.Register("tally", m); err != nil {
		return err
	}
	ln, err := w.Listener("web")
	if err != nil {
		return err
	}
	return w.ServeHTTP(ctx, &http.Server{Handler: w.Router()}, ln)
}

func (c *tally) begin(s *worker.Scope, w *worker.Worker) {
	s.Handle("/", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(rw, "%s request %d of %s, generation %d, from %s", c.version, c.n.Add(1), w.ID(), w.Generation(), r.RemoteAddr)
	}))
	s.HandleCall("count", func(_ context.Context, args []string) ([]byte, error) {
		return fmt.Append(nil, c.n.Load(), args), nil
	})
}

func get(t *testing.T, slot *workertest.Slot) string {
	t.Helper()
	return fetch(t, slot.Client(), slot.URL())
}

func fetch(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	resp, err := client.Get(url)
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	return string(text)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
