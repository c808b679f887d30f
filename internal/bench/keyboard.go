package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// seenTimeout bounds the wait for what a key brings about.
const seenTimeout = 10 * time.Second

// keyboard is a session at a terminal over one ssh connection, typed by this
// program.
type keyboard struct {
	conn    *ssh.Client
	in      io.Writer
	reading sync.WaitGroup

	out   chan []byte // closed at the end of the session
	shown []byte      // and not yet waited for
}

// keyboard logs in to the admin port with a terminal of 80 columns, and waits
// for the prompt.
func (c *cluster) keyboard() (*keyboard, error) {
	cfg, err := c.login()
	if err != nil {
		return nil, err
	}
	conn, err := ssh.Dial("tcp", c.admin, cfg)
	if err != nil {
		return nil, err
	}
	k := &keyboard{conn: conn, out: make(chan []byte, 64)}
	if err := k.begin(); err != nil {
		return nil, errors.Join(err, k.close())
	}
	return k, nil
}

func (c *cluster) login() (*ssh.ClientConfig, error) {
	private, err := os.ReadFile(c.key)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil {
		return nil, err
	}
	public, err := os.ReadFile(filepath.Join(c.dir, "host_key.pub"))
	if err != nil {
		return nil, err
	}
	host, _, _, _, err := ssh.ParseAuthorizedKey(public)
	if err != nil {
		return nil, err
	}
	return &ssh.ClientConfig{
		User: "admin", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: ssh.FixedHostKey(host), HostKeyAlgorithms: []string{host.Type()}, Timeout: seenTimeout,
	}, nil
}

func (k *keyboard) begin() error {
	s, err := k.conn.NewSession()
	if err != nil {
		return err
	}
	if k.in, err = s.StdinPipe(); err != nil {
		return err
	}
	out, err := s.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.RequestPty("xterm", 24, 80, nil); err != nil {
		return err
	}
	if err := s.Shell(); err != nil {
		return err
	}
	k.reading.Go(func() { k.read(out) })
	return k.sees(context.Background(), "admin@hello> ")
}

// read ends with the session.
func (k *keyboard) read(out io.Reader) {
	defer close(k.out)
	for buf := make([]byte, 4096); ; {
		n, err := out.Read(buf)
		if n > 0 {
			k.out <- append([]byte(nil), buf[:n]...)
		}
		if err != nil {
			return
		}
	}
}

// close ends the session; what it still says is thrown away.
func (k *keyboard) close() error {
	err := k.conn.Close()
	done := make(chan struct{})
	go func() {
		k.reading.Wait()
		close(done)
	}()
	for {
		select {
		case <-k.out:
		case <-done:
			return err
		}
	}
}

// sees waits until text is shown, and goes on behind it.
func (k *keyboard) sees(ctx context.Context, text string) error {
	late := time.NewTimer(seenTimeout)
	defer late.Stop()
	for {
		if i := strings.Index(string(k.shown), text); i >= 0 {
			k.shown = k.shown[i+len(text):]
			return nil
		}
		select {
		case p, ok := <-k.out:
			if !ok {
				return fmt.Errorf("the session ended before it showed %q", text)
			}
			k.shown = append(k.shown, p...)
		case <-late.C:
			return fmt.Errorf("%q is not shown, but %q", text, k.shown)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// takes is how many seconds pass from the keys until text is shown.
func (k *keyboard) takes(ctx context.Context, keys, text string) (float64, error) {
	begin := time.Now()
	if _, err := io.WriteString(k.in, keys); err != nil {
		return 0, err
	}
	err := k.sees(ctx, text)
	return time.Since(begin).Seconds(), err
}
