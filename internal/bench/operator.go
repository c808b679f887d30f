package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/internal/harness"
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
		User: "admin", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
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

func (o operator) once(ctx context.Context) error {
	client, conn, err := o.login(ctx)
	if err != nil {
		return err
	}
	return errors.Join(o.run(client, conn), client.Close())
}

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

// session is a shell at a terminal of 80 columns, which shows its prompt.
type session struct {
	leave  func() error
	in     io.Writer
	screen *harness.Screen
}

func (o operator) sit(ctx context.Context) (*session, error) {
	client, conn, err := o.login(ctx)
	if err != nil {
		return nil, err
	}
	s := &session{leave: client.Close, screen: harness.NewScreen()}
	if err = s.begin(client); err == nil {
		_, err = s.takes(ctx, "", prompt)
	}
	if err = errors.Join(err, conn.SetDeadline(time.Time{})); err != nil {
		return nil, errors.Join(fmt.Errorf("terminal of %s: %w", o.port.name, err), client.Close())
	}
	return s, nil
}

func (s *session) begin(client *ssh.Client) error {
	sh, err := client.NewSession()
	if err != nil {
		return err
	}
	sh.Stdout = s.screen
	if s.in, err = sh.StdinPipe(); err != nil {
		return err
	}
	if err := sh.RequestPty("xterm", 24, 80, nil); err != nil {
		return err
	}
	return sh.Shell()
}

// takes is how many seconds pass from the keys until the screen shows what matches.
func (s *session) takes(ctx context.Context, keys string, re *regexp.Regexp) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, operatorTimeout)
	defer cancel()
	begin := time.Now()
	if _, err := io.WriteString(s.in, keys); err != nil {
		return 0, err
	}
	_, err := s.screen.See(ctx, re)
	return time.Since(begin).Seconds(), err
}
