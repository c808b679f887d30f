package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// quiet is how long the servers are left alone before they are looked at: the
// runtime of Go collects garbage at least every two minutes, and gives memory
// back after that.
const quiet = 150 * time.Second

// measureSessions is what a person costs who has logged in and does nothing.
func measureSessions(ctx context.Context, b *bench) (table, error) {
	var t table
	count := b.less(200, 40)
	ours := func(ctx context.Context) (port, error) { return b.widePort(ctx, count+50) }
	ports, err := t.ports(ctx, ours, b.emptyPort, b.opensshPort)
	if err != nil {
		return t, err
	}
	err = b.sessions(ctx, &t, ports, count)
	t.note("%d sessions, each a connection of its own with a terminal and a prompt, against none after as many logins; the admin port is told to take more connections than the 100 of the default; of sshd its own processes count, and not the shells that it starts", count)
	return t, errors.Join(err, stopPorts(ports))
}

// widePort is our admin port with room for that many connections.
func (b *bench) widePort(ctx context.Context, connections int) (port, error) {
	c, err := b.clusterWithShell(ctx, connections)
	if err != nil {
		return port{}, err
	}
	return b.ourPort(ctx, c)
}

func (b *bench) sessions(ctx context.Context, t *table, ports []port, count int) error {
	if err := b.once(ctx, ports, count); err != nil {
		return err
	}
	before, err := b.settled(ctx, ports)
	if err != nil {
		return err
	}
	leave, err := b.sitAll(ctx, ports, count)
	if err != nil {
		return errors.Join(err, leave())
	}
	after, err := b.settled(ctx, ports)
	if err = errors.Join(err, leave()); err != nil {
		return err
	}
	for i, p := range ports {
		each := float64(after[i]-before[i]) / float64(count)
		what, kib := "memory of an idle session (PSS), "+p.name, fmt.Sprintf("%.0f KiB", each/1024)
		if i == 0 {
			t.add(what, "≤ 70 KiB", kib, judge(each <= 70<<10))
		} else {
			t.info(what, kib)
		}
		t.note("%s: %s before, %s with the sessions", p.name, mib(before[i]), mib(after[i]))
	}
	return nil
}

// once lets everybody log in and leave: what a server makes at its first logins
// is not a session's.
func (b *bench) once(ctx context.Context, ports []port, count int) error {
	for _, p := range ports {
		operators, err := b.operators(p, count)
		if err != nil {
			return err
		}
		for _, o := range operators {
			if err := o.once(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// sitAll opens that many sessions at each port. Leave is to be called in any
// case.
func (b *bench) sitAll(ctx context.Context, ports []port, count int) (leave func() error, err error) {
	var open []func() error
	leave = func() error {
		var err error
		for _, end := range open {
			err = errors.Join(err, end())
		}
		return err
	}
	for _, p := range ports {
		operators, err := b.operators(p, count)
		if err != nil {
			return leave, err
		}
		for _, o := range operators {
			end, err := o.sit(ctx)
			if err != nil {
				return leave, err
			}
			open = append(open, end)
		}
	}
	return leave, nil
}

// settled is what each server holds when it has been left alone for a while.
func (b *bench) settled(ctx context.Context, ports []port) ([]int, error) {
	wait := quiet
	if b.short {
		wait = 5 * time.Second
	}
	if err := rest(ctx, wait); err != nil {
		return nil, err
	}
	all := make([]int, len(ports))
	for i, p := range ports {
		var err error
		if all[i], err = familyMemory(p.pid); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// familyMemory is the PSS of a process and of those of its descendants that run
// the same program, by its name: sshd has some for each connection.
func familyMemory(pid int) (int, error) {
	name, _, err := parentOf(pid)
	if err != nil {
		return 0, err
	}
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	total := 0
	for _, dir := range dirs {
		one, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || !descends(one, pid, name) {
			continue
		}
		m, err := memoryOf(one)
		if err != nil {
			return 0, err
		}
		total += m.pss
	}
	return total, nil
}

// descends reports whether a process is the ancestor or one of its family, with
// a name like its.
func descends(pid, ancestor int, name string) bool {
	own, _, err := parentOf(pid)
	if err != nil || !strings.HasPrefix(own, name) {
		return false
	}
	for pid > 1 && pid != ancestor {
		if _, pid, err = parentOf(pid); err != nil {
			return false
		}
	}
	return pid == ancestor
}

// parentOf reads proc_pid_stat(5).
func parentOf(pid int) (name string, parent int, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0, err
	}
	return parseParent(string(text))
}

// parseParent: the name is in parentheses and may have some itself.
func parseParent(stat string) (name string, parent int, err error) {
	open, end := strings.Index(stat, "("), strings.LastIndex(stat, ")")
	if open < 0 || end < open {
		return "", 0, fmt.Errorf("no name in %q", stat)
	}
	fields := strings.Fields(stat[end+1:])
	if len(fields) < 2 {
		return "", 0, fmt.Errorf("no parent in %q", stat)
	}
	parent, err = strconv.Atoi(fields[1])
	return stat[open+1 : end], parent, err
}
