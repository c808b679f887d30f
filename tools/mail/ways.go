package main

import (
	"context"
	"net/rpc"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go"

	"github.com/norestart/norestart/worker"
)

// way is one to send a message.
type way struct {
	name string
	// open returns what sends one and waits until it was handled.
	open func(w *worker.Worker, dir string) (one func(context.Context) error, end func(), err error)
}

const (
	mail     = "Send"
	netRPC   = "net/rpc"
	natsCore = "NATS"
)

var message = make([]byte, 100)

var ways = []way{
	{mail, func(w *worker.Worker, _ string) (func(context.Context) error, func(), error) {
		return func(ctx context.Context) error { return w.Send(ctx, receiving+"/0", message) }, func() {}, nil
	}},
	{netRPC, func(_ *worker.Worker, dir string) (func(context.Context) error, func(), error) {
		client, err := rpc.Dial("unix", filepath.Join(dir, socketFile))
		if err != nil {
			return nil, nil, err
		}
		one := func(context.Context) error { return client.Call("Jobs.Take", message, &struct{}{}) }
		return one, func() { _ = client.Close() }, nil
	}},
	{natsCore, func(_ *worker.Worker, dir string) (func(context.Context) error, func(), error) {
		addr, err := os.ReadFile(filepath.Join(dir, addrFile))
		if err != nil {
			return nil, nil, err
		}
		conn, err := nats.Connect(string(addr))
		if err != nil {
			return nil, nil, err
		}
		one := func(ctx context.Context) error {
			_, err := conn.RequestWithContext(ctx, subject, message)
			return err
		}
		return one, conn.Close, nil
	}},
}
