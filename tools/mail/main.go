// Mail measures messages between two workers, each acknowledged when it is handled:
// those of package worker, calls of net/rpc over a unix socket, and requests over a
// NATS server on loopback. It prints rows of docs/benchmarks.md.
//
// Invariant: all three go between the same two processes, in turns, from as many
// senders at a time, with the same 100 bytes. The NATS server runs in the process of
// the receiver, so that none has a third process to pay for.
//
// It is a module of its own: norestart does not need NATS.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/harness"
)

const (
	roleCluster = "cluster"
	handler     = "measure"
	limit       = 10 * time.Minute
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == roleCluster {
		serve(os.Args[2]) // ends the process
	}
	turns := flag.Int("turns", 5, "how often each way is measured")
	window := flag.Duration("window", 2*time.Second, "how long a turn takes")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	if err := run(ctx, *turns, *window); err != nil {
		fmt.Fprintln(os.Stderr, "error: mail:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, turns int, window time.Duration) error {
	dir, err := os.MkdirTemp("", "norestart-mail-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	began := loadAverage()
	cluster, err := harness.StartSeen(exec.Command(self, roleCluster, dir))
	if err != nil {
		return err
	}
	_, err = cluster.See(ctx, regexp.MustCompile(`\b2 of 2 workers ready`))
	var many, one figures
	if err == nil {
		many, err = measure(ctx, dir, turns, window, 16)
	}
	if err == nil {
		one, err = measure(ctx, dir, turns, window, 1)
	}
	if err := errors.Join(err, cluster.Stop()); err != nil {
		return err
	}
	print(many, one)
	fmt.Printf("- %d turns of %v each; load average at the start %s, at the end %s\n", turns, window, began, loadAverage())
	return nil
}

// measure lets each way have its turns, each time beginning with the next one.
func measure(ctx context.Context, dir string, turns int, window time.Duration, senders int) (figures, error) {
	all := make(figures)
	for i := range turns {
		for j := range ways {
			w := ways[(i+j)%len(ways)].name
			f, err := turn(ctx, dir, w, senders, window)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", w, err)
			}
			all[w] = append(all[w], f)
		}
	}
	return all, nil
}

// turn asks the sending worker.
func turn(ctx context.Context, dir, way string, senders int, window time.Duration) (f figure, err error) {
	r := control.CallRequest{
		Pool: sending, Handler: handler, Args: []string{way, fmt.Sprint(senders), window.String()}, Timeout: window + time.Minute,
	}
	err = control.Watch(ctx, harness.Control(dir), r, func(reply control.CallReply) error {
		if reply.Error != "" {
			return errors.New(reply.Error)
		}
		return json.Unmarshal(reply.Data, &f)
	})
	return f, err
}
