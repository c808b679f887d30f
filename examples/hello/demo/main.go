// Demo starts the example in a directory of its own. On a terminal it says what
// to type next and leaves the rest to you; without one it logs in with the real
// ssh client and types the session itself.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/term"
)

// demoTimeout bounds a demo that nobody watches.
const demoTimeout = 2 * time.Minute

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: demo DIR (where make build put hello and norestart)")
		os.Exit(2)
	}
	if err := demo(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func demo(bin string) error {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "norestart-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c := cluster{bin: bin, dir: dir}
	if term.IsTerminal(0) && term.IsTerminal(1) {
		return c.show()
	}
	ctx, cancel := context.WithTimeout(context.Background(), demoTimeout)
	defer cancel()
	return c.session(ctx)
}

// cluster is the example that the demo runs.
type cluster struct {
	bin, dir string
	process  *exec.Cmd
}

// show runs the example in the foreground, for a person.
func (c *cluster) show() error {
	fmt.Printf(`When it is ready, type in another terminal:

  curl http://127.0.0.1:8080/               a few times: the workers take turns
  ssh -p 7777 admin@127.0.0.1               the password is printed below
  %s ctl --dir %s status
                                            the same without a password, on this machine
In the admin shell try: help, status, worker list, scale web 8, reload, foo 1 2 3, baz, stop.
Ctrl-C here stops it.

`, filepath.Join(c.bin, "norestart"), c.dir)
	cmd := exec.Command(filepath.Join(c.bin, "hello"), "--dir", c.dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return inForeground(cmd)
}

// session starts the example on free ports, logs in and types.
func (c *cluster) session(ctx context.Context) error {
	key := filepath.Join(c.dir, "demo-key")
	if err := c.run(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "demo", "-f", key); err != nil {
		return fmt.Errorf("ssh-keygen, of OpenSSH's client: %w", err)
	}
	if err := c.run(ctx, c.norestart(), "user", "add", "admin", "--role", "admin", "--no-password", "--key", key+".pub", "--dir", c.dir); err != nil {
		return err
	}
	if err := c.start(ctx); err != nil {
		return err
	}
	err := c.loggedIn(ctx, key)
	if stopErr := c.stop(); err == nil {
		err = stopErr
	}
	return err
}

func (c *cluster) norestart() string { return filepath.Join(c.bin, "norestart") }

// run runs a command to its end and shows what it says only if it fails.
func (c *cluster) run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(name), err, out)
	}
	return nil
}

// start starts the example and waits until its workers are ready.
func (c *cluster) start(ctx context.Context) error {
	c.process = exec.CommandContext(ctx, filepath.Join(c.bin, "hello"), "--dir", c.dir, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	out, err := c.process.StderrPipe()
	if err != nil {
		return err
	}
	if err := c.process.Start(); err != nil {
		return err
	}
	ready := make(chan error, 1)
	go echoLines(out, "hello: 4 of 4 workers ready", ready)
	return <-ready
}

// stop stops the example and waits for its end.
func (c *cluster) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), demoTimeout)
	defer cancel()
	if err := c.run(ctx, c.norestart(), "ctl", "--dir", c.dir, "stop", "--yes"); err != nil {
		return err
	}
	return c.process.Wait()
}
