package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// measureOneShots runs one command by the plain OpenSSH client, on the admin
// port and on the empty server in turns, and by norestart ctl.
func measureOneShots(ctx context.Context, b *bench) (table, error) {
	var t table
	c, err := b.hello(ctx)
	if err != nil {
		return t, err
	}
	p, err := start(exec.Command(b.self, roleSSH, "-key", b.key+".pub"))
	if err != nil {
		return t, errors.Join(err, c.stop())
	}
	err = oneShots(ctx, b, &t, c, p)
	return t, errors.Join(err, p.stop(), c.stop())
}

func oneShots(ctx context.Context, b *bench, t *table, c *cluster, empty *process) error {
	ours, err := c.sshArgs()
	if err != nil {
		return err
	}
	line, err := empty.line(ctx, "ssh-ed25519")
	if err != nil {
		return err
	}
	port, known, _ := strings.Cut(line, " ")
	theirs, err := sshArgs(filepath.Join(b.dir, "known-empty"), known+"\n", c.key, port)
	if err != nil {
		return err
	}
	p, err := pairs(ctx, b.turns(), b.medianOf(ctx, "ssh", ours...), b.medianOf(ctx, "ssh", theirs...))
	if err != nil {
		return err
	}
	t.add("`ssh host worker info`", "≤ 15 ms", seconds(median(p.a)), judge(median(p.a) <= 0.015))
	faster := pair{a: p.b, b: p.a}
	t.add("the same, against an empty Go ssh server", "≥ 6 × faster", faster.String(), judge(faster.ratio() >= 6))
	t.info("the empty Go ssh server", seconds(median(p.b)))
	local, err := pairs(ctx, b.turns(),
		b.medianOf(ctx, b.norestart, "ctl", "--dir", c.dir, "worker", "info"),
		b.medianOf(ctx, b.norestart, "version"))
	if err != nil {
		return err
	}
	t.info("`norestart ctl worker info`; of it the start of the program (`norestart version`)", seconds(median(local.a))+"; "+seconds(median(local.b)))
	t.note("each turn is the median of %d runs: ours %s; empty %s; ctl %s", b.less(9, 3), turnsText(p.a, seconds), turnsText(p.b, seconds), turnsText(local.a, seconds))
	return nil
}

// medianOf measures a command a few times.
func (b *bench) medianOf(ctx context.Context, name string, args ...string) func() (float64, error) {
	return func() (float64, error) {
		var all []float64
		for range b.less(9, 3) {
			s, err := timed(ctx, name, args...)
			if err != nil {
				return 0, err
			}
			all = append(all, s)
		}
		return median(all), nil
	}
}

// sshArgs logs in to the admin port.
func (c *cluster) sshArgs() ([]string, error) {
	_, port, err := net.SplitHostPort(c.admin)
	if err != nil {
		return nil, fmt.Errorf("admin port: %w", err)
	}
	public, err := os.ReadFile(filepath.Join(c.dir, "host_key.pub"))
	if err != nil {
		return nil, err
	}
	return sshArgs(filepath.Join(c.dir, "known"), fmt.Sprintf("[127.0.0.1]:%s %s", port, public), c.key, port)
}

// sshArgs are those of the plain client, strict about the host key, for the
// command "worker info".
func sshArgs(file, known, key, port string) ([]string, error) {
	if err := os.WriteFile(file, []byte(known), 0o600); err != nil {
		return nil, err
	}
	return []string{
		"-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes",
		"-o", "UserKnownHostsFile=" + file, "-p", port, "admin@127.0.0.1", "worker", "info",
	}, nil
}
