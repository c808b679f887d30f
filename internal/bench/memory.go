package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// measureMemory lets a cluster of four workers live for a while and looks at
// what its processes hold.
func measureMemory(ctx context.Context, b *bench) (table, error) {
	var t table
	c, err := b.hello(ctx)
	if err != nil {
		return t, err
	}
	fresh, err := memoryOf(c.pid())
	if err == nil {
		err = c.lived(ctx, b)
	}
	if err == nil {
		err = c.memories(ctx, &t, fresh)
	}
	return t, errors.Join(err, c.stop())
}

// lived: requests, reloads and logins.
func (c *cluster) lived(ctx context.Context, b *bench) error {
	one := client{addr: c.web}
	for range 1000 {
		if _, err := one.get(); err != nil {
			return err
		}
	}
	for range b.less(20, 2) {
		if _, err := c.ctl(ctx, "reload"); err != nil {
			return err
		}
	}
	args, err := c.sshArgs()
	if err != nil {
		return err
	}
	for range b.less(20, 2) {
		if _, err := output(ctx, "ssh", args...); err != nil {
			return err
		}
	}
	return nil
}

const mebibyte = 1 << 20

func (c *cluster) memories(ctx context.Context, t *table, fresh memory) error {
	select {
	case <-time.After(time.Second): // the last beats and the like have passed
	case <-ctx.Done():
		return ctx.Err()
	}
	pids, err := c.pids(ctx)
	if err != nil {
		return err
	}
	var all []memory
	for _, pid := range []int{c.pid(), pids["shell/0"], pids["web/0"]} {
		m, err := memoryOf(pid)
		if err != nil {
			return err
		}
		all = append(all, m)
	}
	primary, shell, web := all[0], all[1], all[2]
	t.add("the primary, PSS", "≤ 4 MiB", mib(primary.pss), judge(primary.pss <= 4*mebibyte))
	t.add("the primary, private dirty", "≤ 3 MiB", mib(primary.dirty), judge(primary.dirty <= 3*mebibyte))
	t.info("the primary: RSS; of the PSS anonymous, file", fmt.Sprintf("%s; %s, %s", mib(primary.rss), mib(primary.anon), mib(primary.file)))
	t.info("the primary when just started: PSS; private dirty", mib(fresh.pss)+"; "+mib(fresh.dirty))
	t.info("the shell worker: PSS; private dirty; RSS", fmt.Sprintf("%s; %s; %s", mib(shell.pss), mib(shell.dirty), mib(shell.rss)))
	t.info("a web worker: PSS; private dirty; RSS", fmt.Sprintf("%s; %s; %s", mib(web.pss), mib(web.dirty), mib(web.rss)))
	return nil
}

func mib(n int) string { return fmt.Sprintf("%.2f MiB", float64(n)/mebibyte) }

// memory is what a process holds, in bytes.
type memory struct{ rss, pss, dirty, anon, file int }

// memoryOf reads proc_pid_smaps(5), rolled up.
func memoryOf(pid int) (memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return memory{}, err
	}
	return parseMemory(text)
}

func parseMemory(text []byte) (memory, error) {
	var m memory
	fields := map[string]*int{"Rss:": &m.rss, "Pss:": &m.pss, "Private_Dirty:": &m.dirty, "Pss_Anon:": &m.anon, "Pss_File:": &m.file}
	for line := range bytes.Lines(text) {
		words := bytes.Fields(line)
		if len(words) != 3 || fields[string(words[0])] == nil {
			continue
		}
		n, err := strconv.Atoi(string(words[1]))
		if err != nil || n < 0 || n > 1<<40 {
			return m, fmt.Errorf("line %q", line)
		}
		*fields[string(words[0])] = n << 10
		delete(fields, string(words[0]))
	}
	if len(fields) > 0 {
		return m, fmt.Errorf("%d figures are missing", len(fields))
	}
	return m, nil
}
