package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// measureClient runs one command by norestart exec and by the plain OpenSSH
// client, in turns, and the start of the program alone.
func measureClient(ctx context.Context, b *bench) (table, error) {
	var t table
	c, err := b.hello(ctx)
	if err != nil {
		return t, err
	}
	return t, errors.Join(execs(ctx, b, &t, c), c.stop())
}

func execs(ctx context.Context, b *bench, t *table, c *cluster) error {
	ours, err := c.execArgs()
	if err != nil {
		return err
	}
	plain, err := c.sshArgs()
	if err != nil {
		return err
	}
	p, err := pairs(ctx, b.turns(), b.medianOf(ctx, b.norestart, ours...), b.medianOf(ctx, "ssh", plain...))
	if err != nil {
		return err
	}
	start, err := b.medianOf(ctx, b.norestart, "version")()
	if err != nil {
		return err
	}
	t.add("`norestart exec … worker info`", "≤ 10 ms", seconds(median(p.a)), judge(median(p.a) <= 0.010))
	t.info("the same by plain `ssh`", seconds(median(p.b)))
	t.info("of ours the start of the program (`norestart version`)", seconds(start))
	t.note("each turn is the median of %d runs: ours %s; ssh %s", b.less(9, 3), turnsText(p.a, seconds), turnsText(p.b, seconds))
	return nil
}

// execArgs are those of norestart exec, for the command "worker info".
func (c *cluster) execArgs() ([]string, error) {
	_, port, err := net.SplitHostPort(c.admin)
	if err != nil {
		return nil, fmt.Errorf("admin port: %w", err)
	}
	public, err := os.ReadFile(filepath.Join(c.dir, "host_key.pub"))
	if err != nil {
		return nil, err
	}
	known := filepath.Join(c.dir, "known-exec")
	if err := os.WriteFile(known, fmt.Appendf(nil, "[127.0.0.1]:%s %s", port, public), 0o600); err != nil {
		return nil, err
	}
	return []string{"exec", "--batch", "-i", c.key, "--known-hosts", known, "admin@127.0.0.1:" + port, "worker", "info"}, nil
}
