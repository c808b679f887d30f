package main

import (
	"context"
	"net"
	"os"
)

// bare is the process that a cluster is compared with. Its listener is made
// before it is started, as a worker's is.
type bare struct {
	*process
	addr string
}

func (b *bench) bare(ctx context.Context) (*bare, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p, err := start(false, []*os.File{f}, b.self, roleBare)
	if err != nil {
		return nil, err
	}
	return &bare{process: p, addr: ln.Addr().String()}, nil
}
