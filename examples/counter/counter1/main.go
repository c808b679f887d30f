// Counter1 is the first version of a program that counts: its counts survive every
// reload. The second is ../counter2.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/norestart/norestart"
	"github.com/norestart/norestart/worker"
)

func main() {
	dir := flag.String("dir", "", "run and state directory (default: the standard places)")
	listen := flag.String("listen", "127.0.0.1:8080", "address of the web server; port 0: any free one")
	flag.String("admin", "", "is not used: there is no admin port")
	workers := flag.Int("workers", 2, "number of workers")
	flag.Parse()
	norestart.Main(norestart.App{
		Name: "counter", Dir: *dir,
		Pools: []norestart.Pool{{Name: "web", Workers: *workers, Listen: []string{"tcp://" + *listen}, Run: serve}},
	})
}

func serve(ctx context.Context, w *worker.Worker) error {
	if err := w.Register("counter", (&counter{}).module()); err != nil {
		return err
	}
	ln, err := w.Listener("web")
	if err != nil {
		return err
	}
	return w.ServeHTTP(ctx, &http.Server{Handler: w.Router()}, ln)
}

// counter counts the requests to one slot.
type counter struct{ requests atomic.Int64 }

// state is what the next version gets.
type state struct {
	Requests int64 `json:"requests"`
}

func (c *counter) module() worker.Module {
	return worker.Module{
		Version: "v1.0.0",
		Init:    func(_ context.Context, s *worker.Scope) error { return c.begin(s) },
		BeforeReload: func(context.Context) (worker.State, error) {
			return worker.JSON(state{c.requests.Load()})
		},
		AfterReload: func(_ context.Context, s *worker.Scope, from worker.State) error {
			var was state // a newer version has more fields, and this one, too
			if err := from.JSON(&was); err != nil {
				return err
			}
			c.requests.Store(was.Requests)
			return c.begin(s)
		},
	}
}

func (c *counter) begin(s *worker.Scope) error {
	s.Handle("/", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(rw, "request %d\n", c.requests.Add(1)) // the client has gone: its loss
	}))
	s.HandleCall("count", func(context.Context, []string) ([]byte, error) {
		return fmt.Appendf(nil, "%d requests", c.requests.Load()), nil
	})
	return nil
}
