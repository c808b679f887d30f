package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/norestart/norestart"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/notify"
	"github.com/norestart/norestart/shell"
	"github.com/norestart/norestart/worker"
)

// handler is the one of examples/hello, for the cluster and for the bare
// process.
func handler(id string, generation int) http.Handler {
	var count atomic.Int64
	greeting := fmt.Sprintf("hello from %s pid=%d generation=%d\n", id, os.Getpid(), generation)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(rw http.ResponseWriter, _ *http.Request) {
		count.Add(1)
		_, _ = fmt.Fprint(rw, greeting) // the client has gone: its loss
	})
	return mux
}

func server(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
}

// runCluster is a norestart application without canary and lame duck, which
// would otherwise be most of what a reload takes.
func runCluster(args []string) {
	fs := flag.NewFlagSet(roleCluster, flag.ExitOnError)
	dir := fs.String("dir", "", "run and state directory")
	listen := fs.String("listen", "127.0.0.1:0", "address of the web server")
	workers := fs.Int("workers", 4, "number of workers")
	connections := fs.Int("connections", 0, "of the admin port at a time; 0: there is none")
	_ = fs.Parse(args) // it ends the process itself
	var admin *shell.Config
	if *connections > 0 {
		admin = &shell.Config{Port: -1, MaxConnections: 2 * *connections, MaxPerUser: *connections}
	}
	norestart.Main(norestart.App{
		Name:  "bench",
		Dir:   *dir,
		Shell: admin,
		Pools: []norestart.Pool{{
			Name: "web", Workers: *workers, Listen: []string{"tcp://" + *listen}, Policy: control.OnFailure,
			Canary: -1, LameDuck: -1,
			Run: func(ctx context.Context, w *worker.Worker) error {
				ln, err := w.Listener("web")
				if err != nil {
					return err
				}
				return w.ServeHTTP(ctx, server(handler(w.ID(), w.Generation())), ln)
			},
		}},
	})
}

// bareFD is where the bare process finds its listener.
const bareFD = 3

// runBare does the same work in one process without a supervisor.
func runBare() error {
	f := os.NewFile(bareFD, "listener")
	ln, err := net.FileListener(f)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := notify.Tell("READY=1"); err != nil { // as a worker of `norestart up`
		return err
	}
	return server(handler("bare", 0)).Serve(ln)
}
