package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/creack/pty"
)

// steps are what the demo types, and after which prompt. One worker is dead by
// then: its pool is on-failure and it exited with 0.
var steps = []struct{ prompt, line string }{
	{"> ", "foo 1 2 3"},
	{"> ", "baz"},
	{"number: ", "21"},
	{"> ", "bar foo"},
	{"> ", "worker info"},
	{"> ", "worker revive  # revive the dead workers"},
	{"> ", "worker info"},
	{"> ", ".exit"},
}

// echoLines shows what comes and tells when the line it waits for has come.
func echoLines(r io.Reader, last string, came chan<- error) {
	in := bufio.NewScanner(r)
	for in.Scan() {
		fmt.Println(in.Text())
		if in.Text() == last {
			came <- nil
			came = make(chan error, 1) // once
		}
	}
	came <- errors.New("hello ended before it was ready")
}

// loggedIn lets one worker exit and then types the session over ssh.
func (c *cluster) loggedIn(ctx context.Context, key string) error {
	if err := c.run(ctx, c.norestart(), "ctl", "--dir", c.dir, "finish", "web/3"); err != nil {
		return err
	}
	if err := c.until(ctx, func(dead int) bool { return dead == 1 }); err != nil {
		return err
	}
	ssh, err := c.ssh(ctx, key)
	if err != nil {
		return err
	}
	fmt.Printf("\n$ %s\n", strings.Join(append([]string{"ssh"}, ssh.Args[len(ssh.Args)-3:]...), " "))
	return converse(ctx, ssh)
}

// status is what the demo needs of `status --json`.
type status struct {
	Admin string `json:"admin"`
	Pools []struct {
		Name string `json:"name"`
		Dead int    `json:"dead"`
	} `json:"pools"`
}

func (c *cluster) status(ctx context.Context) (s status, err error) {
	out, err := exec.CommandContext(ctx, c.norestart(), "ctl", "--dir", c.dir, "status", "--json").Output()
	if err != nil {
		return s, fmt.Errorf("status: %w", err)
	}
	return s, json.Unmarshal(out, &s)
}

// until asks until the number of dead web workers is right.
func (c *cluster) until(ctx context.Context, right func(dead int) bool) error {
	for {
		s, err := c.status(ctx)
		if err != nil {
			return err
		}
		for _, p := range s.Pools {
			if p.Name == "web" && right(p.Dead) {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// ssh is the real client, strict about the host key.
func (c *cluster) ssh(ctx context.Context, key string) (*exec.Cmd, error) {
	s, err := c.status(ctx)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(s.Admin)
	if err != nil {
		return nil, err
	}
	public, err := os.ReadFile(filepath.Join(c.dir, "host_key.pub"))
	if err != nil {
		return nil, err
	}
	known := filepath.Join(c.dir, "known_hosts")
	if err := os.WriteFile(known, fmt.Appendf(nil, "[%s]:%s %s", host, port, public), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "ssh", "-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile="+known, "-p", port, "admin@"+host)
	cmd.Env = append(os.Environ(), "TERM=dumb")
	return cmd, nil
}

// converse types the steps, each when its prompt has come, and shows the
// terminal.
func converse(ctx context.Context, ssh *exec.Cmd) error {
	tty, err := pty.StartWithSize(ssh, &pty.Winsize{Rows: 24, Cols: 100})
	if err != nil {
		return fmt.Errorf("ssh: %w", err)
	}
	defer tty.Close()
	stop := context.AfterFunc(ctx, func() { _ = tty.Close() })
	defer stop()
	screen := &terminal{out: os.Stdout}
	for _, s := range steps {
		if err := screen.readUntil(tty, s.prompt); err != nil {
			return fmt.Errorf("waiting for %q: %w", s.prompt, err)
		}
		if _, err := io.WriteString(tty, s.line+"\r"); err != nil {
			return err
		}
	}
	_ = screen.readUntil(tty, "\x00") // to the end, which a terminal reports as an error
	if err := ssh.Wait(); err != nil {
		return fmt.Errorf("ssh: %w", err)
	}
	return nil
}

// terminal shows what a terminal shows, without its control sequences.
type terminal struct {
	out  io.Writer
	line []byte // since the last line break
}

var sequence = regexp.MustCompile("\x1b\\[[0-9;?]*[a-zA-Z]|\r")

// readUntil shows what comes until a line ends, for now, with prompt.
func (t *terminal) readUntil(r io.Reader, prompt string) error {
	buf := make([]byte, 4<<10)
	for {
		n, err := r.Read(buf)
		clean := sequence.ReplaceAll(buf[:n], nil)
		if _, err := t.out.Write(clean); err != nil {
			return err
		}
		t.line = append(t.line, clean...)
		if i := bytes.LastIndexByte(t.line, '\n'); i >= 0 {
			t.line = t.line[i+1:]
		}
		if bytes.HasSuffix(t.line, []byte(prompt)) {
			t.line = nil
			return nil
		}
		if err != nil {
			return err
		}
	}
}
