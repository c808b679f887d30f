package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/rpc"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/norestart/norestart"
	"github.com/norestart/norestart/worker"
)

// Pools, of one worker each.
const (
	sending   = "sending"
	receiving = "receiving"
)

// Files of the directory.
const (
	socketFile = "rpc.sock"
	addrFile   = "nats"
)

func serve(dir string) {
	norestart.Main(norestart.App{
		Name: "mail", Dir: dir,
		Pools: []norestart.Pool{
			{Name: receiving, Workers: 1, Run: func(ctx context.Context, w *worker.Worker) error { return receive(ctx, w, dir) }},
			{Name: sending, Workers: 1, Run: func(ctx context.Context, w *worker.Worker) error { return send(ctx, w, dir) }},
		},
	})
}

// Jobs is the service of net/rpc.
type Jobs struct{}

// Take handles a message.
func (Jobs) Take([]byte, *struct{}) error { return nil }

// subject is that of NATS.
const subject = "jobs"

// receive handles messages, whichever way they come.
func receive(ctx context.Context, w *worker.Worker, dir string) error {
	mailbox := w.Mailbox()
	calls := rpc.NewServer()
	if err := calls.Register(Jobs{}); err != nil {
		return err
	}
	ln, err := net.Listen("unix", filepath.Join(dir, socketFile))
	if err != nil {
		return err
	}
	defer ln.Close()
	go calls.Accept(ln)
	broker, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true})
	if err != nil {
		return err
	}
	broker.Start()
	defer broker.Shutdown()
	if !broker.ReadyForConnections(time.Minute) {
		return errors.New("the NATS server is not ready")
	}
	conn, err := nats.Connect(broker.ClientURL())
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Subscribe(subject, func(m *nats.Msg) { _ = m.Respond(nil) }); err != nil { // the sender misses it
		return err
	}
	if err := errors.Join(conn.Flush(), os.WriteFile(filepath.Join(dir, addrFile), []byte(broker.ClientURL()), 0o600)); err != nil {
		return err
	}
	w.Ready()
	for {
		m, err := mailbox.Receive(ctx)
		if err != nil {
			return nil // it drains
		}
		m.Done()
	}
}

// send measures when it is asked.
func send(ctx context.Context, w *worker.Worker, dir string) error {
	w.Handle(handler, func(ctx context.Context, args []string) ([]byte, error) {
		i := slices.IndexFunc(ways, func(w way) bool { return w.name == args[0] })
		senders, err := strconv.Atoi(args[1])
		if err != nil {
			return nil, err
		}
		window, err := time.ParseDuration(args[2])
		if err != nil {
			return nil, err
		}
		one, end, err := ways[i].open(w, dir)
		if err != nil {
			return nil, err
		}
		defer end()
		f, err := load(ctx, senders, window, one)
		if err != nil {
			return nil, err
		}
		return json.Marshal(f)
	})
	w.Ready()
	<-ctx.Done()
	return nil
}

// load lets senders send, one message after the other each.
func load(ctx context.Context, senders int, window time.Duration, one func(context.Context) error) (figure, error) {
	if err := one(ctx); err != nil { // the way is open
		return figure{}, err
	}
	took, failed := make([][]time.Duration, senders), make([]error, senders)
	began := time.Now()
	var all sync.WaitGroup
	for i := range senders {
		all.Go(func() {
			for sent := time.Now(); sent.Sub(began) < window && failed[i] == nil; {
				failed[i] = one(ctx)
				now := time.Now()
				took[i], sent = append(took[i], now.Sub(sent)), now
			}
		})
	}
	all.Wait()
	took[0] = slices.Sorted(slices.Values(slices.Concat(took...)))
	n := len(took[0])
	return figure{
		Rate: float64(n) / time.Since(began).Seconds(), Median: took[0][n/2], Longest: took[0][n*99/100],
	}, errors.Join(failed...)
}
