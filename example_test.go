package norestart_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/norestart/norestart"
	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/shell"
	"github.com/norestart/norestart/worker"
)

func serve(ctx context.Context, w *worker.Worker) error {
	ln, err := w.Listener("web")
	if err != nil {
		return err
	}
	hello := func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprintln(rw, "hello from", w.ID()) }
	return w.ServeHTTP(ctx, &http.Server{Handler: http.HandlerFunc(hello)}, ln)
}

// The main of a program: four workers that serve, and an admin port on
// 127.0.0.1:7777 (ssh -p 7777 admin@127.0.0.1).
func Example() {
	norestart.Main(norestart.App{
		Name:  "shop",
		Pools: []norestart.Pool{{Name: "web", Workers: 4, Listen: []string{"tcp://127.0.0.1:8080"}, Run: serve}},
		Shell: &shell.Config{Port: 7777},
	})
}

// A pool whose workers must not overlap, and a command that the application
// adds to the admin port.
func ExampleApp() {
	norestart.Main(norestart.App{
		Name: "shop", Version: "1.0",
		Pools: []norestart.Pool{
			{Name: "web", Workers: control.Auto, Listen: []string{"tcp://127.0.0.1:8080"}, Run: serve, DrainTimeout: time.Minute},
			{Name: "mailer", Workers: 1, MaxSurge: control.NoSurge, Policy: control.OnFailure, Run: func(ctx context.Context, w *worker.Worker) error {
				w.Ready()
				<-ctx.Done() // it is asked to drain
				return nil
			}},
		},
		Shell: &shell.Config{Port: 7777, Commands: []commands.Command{{
			Name: "hello", Role: commands.Viewer, Summary: "greet the user",
			Run: func(_ context.Context, call *commands.Call) error {
				call.Printf("hello %s\n", commands.Safe(call.User))
				return nil
			},
		}}},
	})
}
