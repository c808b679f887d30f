package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// operatorTimeout is when an operator gives up a login or a command, and the
// section fails.
const operatorTimeout = 30 * time.Second

// operator is a client by the ssh package of golang.org/x/crypto, the same for
// all servers. It never tries again.
type operator struct {
	port   port
	config *ssh.ClientConfig
	source string // address that it comes from
}

// operators come from eight addresses, four each if they are 32: a machine of
// each, and far from the admin port's limit of ten logins at a time.
func (b *bench) operators(p port, count int) ([]operator, error) {
	text, err := os.ReadFile(b.key)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, err
	}
	config := &ssh.ClientConfig{
		User: p.user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: ssh.FixedHostKey(p.host), HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
	}
	all := make([]operator, count)
	for i := range all {
		all[i] = operator{port: p, config: config, source: fmt.Sprintf("127.0.0.%d", 71+i%8)}
	}
	return all, nil
}

// login is one connection up to a login. Each step after it has a deadline that
// the caller sets on conn.
func (o operator) login(ctx context.Context) (client *ssh.Client, conn net.Conn, err error) {
	if conn, err = dialFrom(ctx, o.source, o.port.addr); err != nil {
		return nil, nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(operatorTimeout)); err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	sc, channels, requests, err := ssh.NewClientConn(conn, o.port.addr, o.config)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("log in to %s: %w", o.port.name, err), conn.Close())
	}
	return ssh.NewClient(sc, channels, requests), conn, nil
}

// once logs in, runs one command, and leaves.
func (o operator) once(ctx context.Context) error {
	client, conn, err := o.login(ctx)
	if err != nil {
		return err
	}
	return errors.Join(o.run(client, conn), client.Close())
}

// run runs one command on a connection.
func (o operator) run(client *ssh.Client, conn net.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(operatorTimeout)); err != nil {
		return err
	}
	s, err := client.NewSession()
	if err != nil {
		return fmt.Errorf("session of %s: %w", o.port.name, err)
	}
	out, err := s.Output(o.port.command)
	if closeErr := s.Close(); closeErr != nil && !errors.Is(closeErr, io.EOF) { // the server has closed it
		err = errors.Join(err, closeErr)
	}
	if err == nil && len(out) == 0 {
		err = errors.New("no output")
	}
	if err != nil {
		return fmt.Errorf("%s of %s: %w", o.port.command, o.port.name, err)
	}
	return nil
}

// sit opens a shell with a terminal, waits for its prompt, and then does nothing
// until it is told to leave.
func (o operator) sit(ctx context.Context) (leave func() error, err error) {
	client, conn, err := o.login(ctx)
	if err != nil {
		return nil, err
	}
	prompt := newFirst()
	err = o.shell(client, prompt)
	if err == nil {
		select {
		case <-prompt.seen:
		case <-time.After(operatorTimeout):
			err = fmt.Errorf("%s shows no prompt", o.port.name)
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return client.Close, nil
}

func (o operator) shell(client *ssh.Client, out io.Writer) error {
	s, err := client.NewSession()
	if err != nil {
		return err
	}
	s.Stdout = out
	if _, err := s.StdinPipe(); err != nil { // stays open
		return err
	}
	if err := s.RequestPty("xterm", 24, 80, nil); err != nil {
		return fmt.Errorf("terminal of %s: %w", o.port.name, err)
	}
	return s.Shell()
}

// first tells when a prompt has come: text that ends with a blank.
type first struct {
	once sync.Once
	seen chan struct{}
}

func newFirst() *first { return &first{seen: make(chan struct{})} }

func (f *first) Write(p []byte) (int, error) {
	if bytes.HasSuffix(p, []byte(" ")) {
		f.once.Do(func() { close(f.seen) })
	}
	return len(p), nil
}
