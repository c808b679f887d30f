package main

import (
	"context"
	"fmt"
	"time"

	"github.com/norestart/norestart/internal/harness"
)

// measureMemory lets a cluster of four workers live for a while and looks at
// what its processes hold.
func measureMemory(ctx context.Context, b *bench) (table, error) {
	return b.withHello(ctx, func(t *table, c *cluster) error {
		fresh, err := harness.MemoryOf(c.PID())
		if err != nil {
			return err
		}
		if err := c.lived(ctx, b); err != nil {
			return err
		}
		return c.memories(ctx, t, fresh)
	})
}

// lived: requests, reloads and logins.
func (c *cluster) lived(ctx context.Context, b *bench) error {
	one := httpClient(c.web, false)
	for range 1000 {
		if s := one.Get("/", ""); s.Err != nil {
			return s.Err
		}
	}
	for range b.less(20, 2) {
		if _, err := c.reload(ctx); err != nil {
			return err
		}
	}
	args, err := b.sshArgs(c.dir, c.admin)
	if err != nil {
		return err
	}
	for range b.less(20, 2) {
		if _, err := harness.Output(ctx, "ssh", args...); err != nil {
			return err
		}
	}
	return nil
}

const mebibyte = 1 << 20

func (c *cluster) memories(ctx context.Context, t *table, fresh harness.Memory) error {
	if err := harness.Pause(ctx, time.Second); err != nil { // the last beats and the like have passed
		return err
	}
	pids, err := c.pids(ctx)
	if err != nil {
		return err
	}
	var all []harness.Memory
	for _, pid := range []int{c.PID(), pids["shell/0"], pids["web/0"]} {
		m, err := harness.MemoryOf(pid)
		if err != nil {
			return err
		}
		all = append(all, m)
	}
	primary, shell, web := all[0], all[1], all[2]
	t.add("the primary, PSS", "≤ 4 MiB", mib(primary.PSS), judge(primary.PSS <= 4*mebibyte))
	t.add("the primary, private dirty", "≤ 3 MiB", mib(primary.Dirty), judge(primary.Dirty <= 3*mebibyte))
	t.info("the primary: RSS; of the PSS anonymous, file", fmt.Sprintf("%s; %s, %s", mib(primary.RSS), mib(primary.Anon), mib(primary.File)))
	t.info("the primary when just started: PSS; private dirty", mib(fresh.PSS)+"; "+mib(fresh.Dirty))
	t.info("the shell worker: PSS; private dirty; RSS", fmt.Sprintf("%s; %s; %s", mib(shell.PSS), mib(shell.Dirty), mib(shell.RSS)))
	t.info("a web worker: PSS; private dirty; RSS", fmt.Sprintf("%s; %s; %s", mib(web.PSS), mib(web.Dirty), mib(web.RSS)))
	return nil
}

func mib(n int) string { return fmt.Sprintf("%.2f MiB", float64(n)/mebibyte) }
