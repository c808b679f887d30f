// Counter2 is the second version of ../counter1: it counts the requests to each
// path. It goes on with the state of the first version, and the first one with
// its.
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"golang.org/x/mod/semver"

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
	if err := w.Register("counter", (&counter{paths: make(map[string]int64)}).module()); err != nil {
		return err
	}
	ln, err := w.Listener("web")
	if err != nil {
		return err
	}
	return w.ServeHTTP(ctx, &http.Server{Handler: w.Router()}, ln)
}

// counter counts the requests to one slot.
type counter struct {
	mu       sync.Mutex
	requests int64
	paths    map[string]int64
}

// state is what the next version gets. The first version knows Requests, and loses
// Paths.
type state struct {
	Requests int64            `json:"requests"`
	Paths    map[string]int64 `json:"paths"`
}

// earlier is the path of requests that the first version has counted.
const earlier = "earlier"

func (c *counter) module() worker.Module {
	return worker.Module{
		Version: "v2.0.0",
		Init:    func(_ context.Context, s *worker.Scope) error { return c.begin(s) },
		BeforeReload: func(context.Context) (worker.State, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			return worker.JSON(state{c.requests, c.paths})
		},
		AfterReload: func(_ context.Context, s *worker.Scope, from worker.State) error {
			var was state
			if err := from.JSON(&was); err != nil {
				return err
			}
			if c.requests = was.Requests; semver.Major(from.Version) == "v1" {
				was.Paths = map[string]int64{earlier: was.Requests}
			}
			maps.Copy(c.paths, was.Paths)
			return c.begin(s)
		},
	}
}

func (c *counter) begin(s *worker.Scope) error {
	s.Handle("/", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.requests++
		c.paths[r.URL.Path]++
		_, _ = fmt.Fprintf(rw, "request %d, of %s %d\n", c.requests, r.URL.Path, c.paths[r.URL.Path]) // the client has gone: its loss
	}))
	s.HandleCall("count", func(context.Context, []string) ([]byte, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		text := fmt.Sprintf("%d requests", c.requests)
		for _, path := range slices.Sorted(maps.Keys(c.paths)) {
			text += fmt.Sprintf(", %s %d", path, c.paths[path])
		}
		return []byte(strings.TrimSpace(text)), nil
	})
	return nil
}
