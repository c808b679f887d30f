package worker_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/norestart/norestart"
	"github.com/norestart/norestart/worker"
)

func Example() {
	norestart.Main(norestart.App{
		Name: "shop",
		Pools: []norestart.Pool{{
			Name: "web", Workers: 4, Listen: []string{"tcp://127.0.0.1:8080"},
			Run: func(ctx context.Context, w *worker.Worker) error {
				ln, err := w.Listener("web")
				if err != nil {
					return err
				}
				hello := func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprintln(rw, "hello from", w.ID()) }
				return w.ServeHTTP(ctx, &http.Server{Handler: http.HandlerFunc(hello)}, ln)
			},
		}},
	})
}

// A handler that has taken its connection over tells the client when the worker
// drains.
func ExampleWorker_Farewell() {
	var w *worker.Worker // as Run gets it
	http.HandleFunc("GET /ticks", func(rw http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		over := make(chan struct{})
		defer w.Farewell(func(context.Context) { close(over) })()
		for {
			select {
			case <-time.After(time.Second):
				fmt.Fprintln(c, "tick")
			case <-over:
				fmt.Fprintln(c, "connect again")
				return
			}
		}
	})
}

// Each worker of the pool answers "norestart ctl call web requests" with what it
// has counted.
func ExampleWorker_Handle() {
	var w *worker.Worker // as Run gets it
	var requests atomic.Int64
	w.Handle("requests", func(context.Context, []string) ([]byte, error) {
		return strconv.AppendInt(nil, requests.Load(), 10), nil
	})
}

// A server of lines that ends its connections between two of them when the
// worker drains.
func ExampleWorker_Serve() {
	_ = worker.Run(func(ctx context.Context, w *worker.Worker) error {
		ln, err := w.Listener("lines")
		if err != nil {
			return err
		}
		return w.Serve(ctx, ln, func(ctx context.Context, c net.Conn) {
			defer context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Now()) })()
			for in := bufio.NewScanner(c); in.Scan(); {
				_, _ = io.WriteString(c, in.Text()+"\n")
			}
		})
	})
}
