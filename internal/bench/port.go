package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"

	"golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/internal/harness"
)

// port is an ssh server as its clients know it.
type port struct {
	name    string
	addr    string // HOST:PORT
	dir     string // where its host_key.pub is
	host    ssh.PublicKey
	command string // that prints something, the cheapest there is
	pid     int    // of the server
	stop    func() error
}

// port is the admin port of a cluster.
func (c *cluster) port(ctx context.Context) (port, error) {
	pids, err := c.pids(ctx)
	host, keyErr := publicKey(filepath.Join(c.dir, "host_key.pub"))
	return port{name: "ours", addr: c.admin, dir: c.dir, host: host, command: "whoami", pid: pids["shell/0"], stop: c.Stop}, errors.Join(err, keyErr)
}

func (b *bench) ports(ctx context.Context, c *cluster) ([]port, error) {
	ours, err := c.port(ctx)
	if err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	empty, err := b.emptyPort(ctx)
	if err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return []port{ours, empty}, nil
}

func stopPorts(all []port) (err error) {
	for _, p := range all {
		err = errors.Join(err, p.stop())
	}
	return err
}

func (b *bench) emptyPort(ctx context.Context) (port, error) {
	dir, err := os.MkdirTemp(b.dir, "empty-")
	if err != nil {
		return port{}, err
	}
	key := filepath.Join(dir, "host_key")
	if err := harness.Keygen(ctx, key); err != nil {
		return port{}, err
	}
	host, err := publicKey(key + ".pub")
	if err != nil {
		return port{}, err
	}
	p, err := harness.StartSeen(exec.Command(b.self, roleSSH, key, b.key+".pub"))
	if err != nil {
		return port{}, err
	}
	addr, err := p.See(ctx, regexp.MustCompile(`127\.0\.0\.1:\d+\b`))
	if err != nil {
		return port{}, errors.Join(err, p.Stop())
	}
	return port{name: "empty Go server", addr: addr, dir: dir, host: host, command: "line", pid: p.PID(), stop: p.Stop}, nil
}

func publicKey(path string) (ssh.PublicKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	return key, err
}

// runSSH is the ssh server that anybody would write in Go: login by the one key,
// each exec is answered by one line, and a shell is a prompt that does nothing.
// It prints its address.
func runSSH(hostKey, userKey string) error {
	text, err := os.ReadFile(hostKey)
	if err != nil {
		return err
	}
	host, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return err
	}
	allowed, err := publicKey(userKey)
	if err != nil {
		return err
	}
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(allowed.Marshal()) {
			return nil, errors.New("not the key")
		}
		return &ssh.Permissions{}, nil
	}}
	config.AddHostKey(host)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go serveSSH(conn, config) // ends with the client, or with this process
	}
}

func serveSSH(conn net.Conn, config *ssh.ServerConfig) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		go answerSSH(channel, requests)
	}
}

func answerSSH(channel ssh.Channel, requests <-chan *ssh.Request) {
	for r := range requests {
		_ = r.Reply(r.Type == "exec" || r.Type == "pty-req" || r.Type == "shell", nil) // the client has gone, if it fails
		switch r.Type {
		case "exec":
			_, _ = io.WriteString(channel, "one line\n")
			_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{}))
			_ = channel.Close()
		case "shell":
			_, _ = io.WriteString(channel, "> ")
			go io.Copy(io.Discard, channel) // ends with the channel
		}
	}
}
