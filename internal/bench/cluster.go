package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/harness"
)

type cluster struct {
	*harness.Program
	bench   *bench
	dir     string
	web     string // HOST:PORT
	admin   string // HOST:PORT; empty without an admin port
	workers int
	next    []string // arguments of the next primary, which takes over
}

// hello starts examples/hello as it is, with four workers and an admin port.
func (b *bench) hello(ctx context.Context) (*cluster, error) {
	c, err := b.launch(ctx, 4, true, b.demo, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--dir")
	if err == nil {
		c.next = []string{"--dir", c.dir, "--listen", c.web, "--admin", c.admin}
	}
	return c, err
}

// clusterWithShell starts the application of this program with an admin port
// that takes that many connections.
func (b *bench) clusterWithShell(ctx context.Context, connections int) (*cluster, error) {
	return b.launch(ctx, 1, true, b.self, roleCluster, "-workers", "1", "-connections", strconv.Itoa(connections), "-dir")
}

// cluster starts the application of this program.
func (b *bench) cluster(ctx context.Context, workers int) (*cluster, error) {
	c, err := b.launch(ctx, workers, false, b.self, roleCluster, "-workers", strconv.Itoa(workers), "-dir")
	if err == nil {
		c.next = append(c.Args[1:], "-listen", c.web)
	}
	return c, err
}

// launch starts a cluster by a command line whose last word is the directory, and
// lets the key log in if there is an admin port.
func (b *bench) launch(ctx context.Context, workers int, admin bool, words ...string) (*cluster, error) {
	dir, err := os.MkdirTemp(b.dir, "cluster-")
	if err != nil {
		return nil, err
	}
	c := &cluster{bench: b, dir: dir, workers: workers}
	if admin {
		if _, err := harness.Output(ctx, b.norestart, "user", "add", "admin", "--role", "admin", "--no-password", "--key", b.key+".pub", "--dir", dir); err != nil {
			return nil, err
		}
	}
	if err := c.start(ctx, exec.Command(words[0], append(words[1:], dir)...)); err != nil {
		return nil, err
	}
	if err := c.addresses(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// start starts a primary, and waits until all workers are ready.
func (c *cluster) start(ctx context.Context, cmd *exec.Cmd) (err error) {
	if c.Program, err = harness.StartSeen(cmd); err != nil {
		return err
	}
	if err := c.allReady(ctx); err != nil {
		return errors.Join(err, c.Stop())
	}
	return nil
}

// allReady waits until the cluster says that its workers are.
func (c *cluster) allReady(ctx context.Context) error {
	_, err := c.See(ctx, regexp.MustCompile(fmt.Sprintf(`\b%d of %d workers ready`, c.workers, c.workers)))
	return err
}

// addresses asks the cluster where it listens.
func (c *cluster) addresses(ctx context.Context) error {
	s, err := control.Get(ctx, harness.Control(c.dir), control.StatusQuery{})
	if err != nil {
		return err
	}
	c.admin = s.Admin
	for _, p := range s.Pools {
		if p.Name == "web" && len(p.Listen) > 0 {
			c.web = strings.TrimPrefix(p.Listen[0], "tcp://")
			return nil
		}
	}
	return errors.New("the pool web listens nowhere")
}

func (c *cluster) pids(ctx context.Context) (map[string]int, error) {
	workers, err := control.Get(ctx, harness.Control(c.dir), control.WorkersQuery{})
	pids := make(map[string]int)
	for _, w := range workers {
		pids[w.ID] = w.PID
	}
	return pids, err
}

// ctl is how many seconds a command takes by the command line on this machine.
func (c *cluster) ctl(ctx context.Context, args ...string) (float64, error) {
	return timed(ctx, c.bench.norestart, append([]string{"ctl", "--dir", c.dir}, args...)...)
}

func (c *cluster) reload(ctx context.Context) (float64, error) { return c.ctl(ctx, "reload") }

// succeed kills the primary and starts the next one, which has adopted all
// workers after the returned seconds.
func (c *cluster) succeed(ctx context.Context) (float64, error) {
	if err := c.Process.Kill(); err != nil {
		return 0, err
	}
	<-c.Done
	begin := time.Now()
	err := c.start(ctx, exec.Command(c.Path, c.next...))
	return time.Since(begin).Seconds(), err
}

// execInPlace returns the seconds from the command that asks for it, self-check
// of the binary included, until all workers have said hello to the new code.
func (c *cluster) execInPlace(ctx context.Context) (float64, error) {
	c.Screen.Forget()
	failed := make(chan error, 1)
	begin := time.Now()
	go func() {
		_, err := c.ctl(ctx, "restart", "--primary")
		failed <- err
	}()
	err := c.allReady(ctx)
	took := time.Since(begin).Seconds()
	return took, errors.Join(err, <-failed)
}

func timed(ctx context.Context, name string, args ...string) (float64, error) {
	begin := time.Now()
	_, err := harness.Output(ctx, name, args...)
	return time.Since(begin).Seconds(), err
}

// execArgs are those of norestart exec, for the command "worker info".
func (c *cluster) execArgs() ([]string, error) {
	public, err := os.ReadFile(filepath.Join(c.dir, "host_key.pub"))
	if err != nil {
		return nil, err
	}
	host, port, _ := strings.Cut(c.admin, ":")
	known := filepath.Join(c.dir, "known-exec")
	err = os.WriteFile(known, fmt.Appendf(nil, "[%s]:%s %s", host, port, public), 0o600)
	return []string{"exec", "--batch", "-i", c.bench.key, "--known-hosts", known, "admin@" + c.admin, "worker", "info"}, err
}

// sshArgs are those of the plain client, for the command "worker info" at an ssh
// server with its host key in dir.
func (b *bench) sshArgs(dir, addr string) ([]string, error) {
	config := filepath.Join(dir, "ssh_config")
	err := harness.WriteSSHConfig(config, addr, filepath.Join(dir, "host_key.pub"), b.key)
	return []string{"-F", config, "cluster", "worker", "info"}, err
}
