package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// bare is the process that a cluster is compared with. Its listener is made
// before it is started, as a worker's is.
type bare struct {
	*process
	addr string
}

func (b *bench) bare(ctx context.Context) (*bare, error) {
	return b.bareOn(ctx, new(net.ListenConfig), "127.0.0.1:0")
}

// prefork starts n bare processes that share an address, each by a socket of
// its own, as a cluster's workers do; nobody steers or looks after them.
func (b *bench) prefork(ctx context.Context, n int) ([]*bare, error) {
	config := &net.ListenConfig{Control: reusePort}
	var all []*bare
	addr := "127.0.0.1:0"
	for range n {
		one, err := b.bareOn(ctx, config, addr)
		if err != nil {
			return nil, errors.Join(err, stopAll(all))
		}
		addr = one.addr
		all = append(all, one)
	}
	return all, nil
}

func reusePort(_, _ string, c syscall.RawConn) error {
	var err error
	controlErr := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	return errors.Join(controlErr, err)
}

func stopAll(all []*bare) error {
	var err error
	for _, one := range all {
		err = errors.Join(err, one.stop())
	}
	return err
}

func (b *bench) bareOn(ctx context.Context, config *net.ListenConfig, addr string) (*bare, error) {
	ln, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd := exec.Command(b.self, roleBare)
	cmd.ExtraFiles = []*os.File{f}
	p, err := start(cmd)
	if err != nil {
		return nil, err
	}
	return &bare{process: p, addr: ln.Addr().String()}, nil
}
