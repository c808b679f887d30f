package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/crypto/ssh"
)

// runSSH is the ssh server that anybody would write in Go: login by the one
// key, each exec is answered by one line, and a shell is a prompt that does nothing. It prints its address and the line
// for known_hosts first.
func runSSH(args []string, out io.Writer) error {
	fs := flag.NewFlagSet(roleSSH, flag.ContinueOnError)
	path := fs.String("key", "", "public key that may log in")
	if err := fs.Parse(args); err != nil {
		return err
	}
	config, host, err := sshConfig(*path)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s [127.0.0.1]:%s %s", port, port, ssh.MarshalAuthorizedKey(host.PublicKey()))
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go serveSSH(conn, config) // ends with the client, or with this process
	}
}

func sshConfig(path string) (*ssh.ServerConfig, ssh.Signer, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	allowed, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	host, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, nil, err
	}
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(allowed.Marshal()) {
			return nil, errors.New("not the key")
		}
		return &ssh.Permissions{}, nil
	}}
	config.AddHostKey(host)
	return config, host, nil
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
