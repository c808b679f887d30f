package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// cluster is a running cluster.
type cluster struct {
	*process
	bench *bench
	dir   string
	key   string // of the user admin, where there is an admin port
	web   string // HOST:PORT
	admin string // HOST:PORT; empty without an admin port

	workers int
	next    []string // arguments of the next primary, which takes over
}

// hello starts examples/hello as it is, with four workers and an admin port.
func (b *bench) hello(ctx context.Context) (*cluster, error) {
	dir, err := os.MkdirTemp(b.dir, "hello-")
	if err != nil {
		return nil, err
	}
	c := &cluster{bench: b, dir: dir, key: b.key}
	if err := c.addAdmin(ctx); err != nil {
		return nil, err
	}
	if err := c.start(ctx, 4, exec.Command(b.demo, "--dir", dir, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")); err != nil {
		return nil, err
	}
	c.next = []string{"--dir", dir, "--listen", c.web, "--admin", c.admin}
	return c, nil
}

// addAdmin lets the key log in.
func (c *cluster) addAdmin(ctx context.Context) error {
	_, err := output(ctx, c.bench.norestart, "user", "add", "admin", "--role", "admin", "--no-password", "--key", c.key+".pub", "--dir", c.dir)
	return err
}

// clusterWithShell starts the application of this program with an admin port
// that takes that many connections.
func (b *bench) clusterWithShell(ctx context.Context, connections int) (*cluster, error) {
	dir, err := os.MkdirTemp(b.dir, "shell-")
	if err != nil {
		return nil, err
	}
	c := &cluster{bench: b, dir: dir, key: b.key}
	if err := c.addAdmin(ctx); err != nil {
		return nil, err
	}
	return c, c.start(ctx, 1, exec.Command(b.self, roleCluster, "-dir", dir, "-workers", "1", "-connections", strconv.Itoa(connections)))
}

// cluster starts the application of this program, with env added to its
// environment.
func (b *bench) cluster(ctx context.Context, workers int, env ...string) (*cluster, error) {
	dir, err := os.MkdirTemp(b.dir, "cluster-")
	if err != nil {
		return nil, err
	}
	c := &cluster{bench: b, dir: dir}
	cmd := exec.Command(b.self, roleCluster, "-dir", dir, "-workers", strconv.Itoa(workers))
	cmd.Env = append(os.Environ(), env...)
	if err := c.start(ctx, workers, cmd); err != nil {
		return nil, err
	}
	c.next = append(cmd.Args[1:], "-listen", c.web)
	return c, nil
}

// allReady is what a cluster says when it is.
func allReady(workers int) string { return fmt.Sprintf("%d of %d workers ready", workers, workers) }

func (c *cluster) start(ctx context.Context, workers int, cmd *exec.Cmd) (err error) {
	if c.process, err = startPiped(cmd, cmd.StderrPipe); err != nil {
		return err
	}
	c.workers = workers
	_, err = c.line(ctx, allReady(workers))
	if err == nil {
		err = c.addresses(ctx)
	}
	if err != nil {
		return errors.Join(err, c.stop())
	}
	return nil
}

// addresses asks the cluster where it listens.
func (c *cluster) addresses(ctx context.Context) error {
	var s struct {
		Admin string `json:"admin"`
		Pools []struct {
			Name   string   `json:"name"`
			Listen []string `json:"listen"`
		} `json:"pools"`
	}
	if err := c.ask(ctx, &s, "status", "--json"); err != nil {
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

// ctl runs a command of the admin port by the command line on this machine.
func (c *cluster) ctl(ctx context.Context, args ...string) (string, error) {
	return output(ctx, c.bench.norestart, append([]string{"ctl", "--dir", c.dir}, args...)...)
}

// ask runs a command and reads its JSON.
func (c *cluster) ask(ctx context.Context, into any, args ...string) error {
	out, err := c.ctl(ctx, args...)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(out), into)
}

// pids are the processes of the slots, by their ids.
func (c *cluster) pids(ctx context.Context) (map[string]int, error) {
	var list struct {
		Workers []struct {
			ID  string `json:"id"`
			PID int    `json:"pid"`
		} `json:"workers"`
	}
	if err := c.ask(ctx, &list, "worker", "list", "--json"); err != nil {
		return nil, err
	}
	pids := make(map[string]int)
	for _, w := range list.Workers {
		pids[w.ID] = w.PID
	}
	return pids, nil
}

// timed is how many seconds a command takes, from its start to its end.
func timed(ctx context.Context, name string, args ...string) (float64, error) {
	begin := time.Now()
	_, err := output(ctx, name, args...)
	return time.Since(begin).Seconds(), err
}

// output runs a program to its end.
func output(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err == nil {
		return string(out), nil
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return "", fmt.Errorf("%s %s: %w", filepath.Base(name), strings.Join(args, " "), err)
}
