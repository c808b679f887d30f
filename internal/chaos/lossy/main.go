package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/norestart/norestart"
	"github.com/norestart/norestart/shell"
	"github.com/norestart/norestart/worker"
)

func main() {
	dir := flag.String("dir", "", "")
	listen := flag.String("listen", "", "")
	workers := flag.Int("workers", 1, "")
	flag.String("admin", "", "taken and not used: any free port")
	flag.Duration("lost-after", 0, "taken and not used")
	flag.String("access-log", "", "taken and not used")
	flag.Parse()
	norestart.Main(norestart.App{
		Name: "lossy", Dir: *dir,
		Pools: []norestart.Pool{{
			Name: "web", Workers: *workers, Listen: []string{"tcp://" + *listen},
			Canary: 50 * time.Millisecond, Run: serve,
		}},
		Shell: &shell.Config{Host: "127.0.0.1", Port: -1},
	})
}

// serve is a worker that does nothing for a drain.
func serve(ctx context.Context, w *worker.Worker) error {
	ln, err := w.Listener("web")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	greeting := fmt.Sprintf("hello from %s\n", w.ID())
	mux.HandleFunc("GET /", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, greeting) })
	mux.HandleFunc("GET /slow", func(rw http.ResponseWriter, _ *http.Request) {
		time.Sleep(40 * time.Millisecond)
		fmt.Fprint(rw, greeting)
	})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	w.Ready()
	<-ctx.Done()
	if text, err := os.ReadFile("drain"); err == nil && string(text) == "exit" {
		os.Exit(0)
	}
	return errors.Join(srv.Shutdown(context.Background()), <-served)
}
