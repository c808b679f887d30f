package main

import (
	"net"
	"os"
	"os/exec"

	"github.com/norestart/norestart/internal/harness"
)

// bare is the process that a cluster is compared with.
type bare struct {
	*harness.Program
	addr string
}

// bare starts one. Its listener is made before, as a worker's is.
func (b *bench) bare() (*bare, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
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
	p, err := harness.StartSeen(cmd)
	if err != nil {
		return nil, err
	}
	return &bare{p, ln.Addr().String()}, nil
}
