package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/norestart/norestart/internal/harness"
)

// quiet is how long the servers are left alone before they are looked at: the
// runtime of Go collects garbage at least every two minutes, and gives memory
// back after that.
const quiet = 150 * time.Second

// measureSessions measures the cost of a logged-in person who does nothing.
func measureSessions(ctx context.Context, b *bench) (table, error) {
	var t table
	count := b.less(200, 40)
	c, err := b.clusterWithShell(ctx, count+50)
	if err != nil {
		return t, err
	}
	ports, err := b.ports(ctx, c)
	if err != nil {
		return t, err
	}
	err = b.sessions(ctx, &t, ports, count)
	t.note("%d sessions, each a connection of its own with a terminal and a prompt, against none after as many logins; the admin port is told to take more connections than the 100 of the default", count)
	return t, errors.Join(err, stopPorts(ports))
}

func (b *bench) sessions(ctx context.Context, t *table, ports []port, count int) error {
	var all []operator
	for _, p := range ports {
		operators, err := b.operators(p, count)
		if err != nil {
			return err
		}
		all = append(all, operators...)
	}
	for _, o := range all { // what a server makes at its first logins is not a session's
		if err := o.once(ctx); err != nil {
			return err
		}
	}
	before, err := b.settled(ctx, ports)
	if err != nil {
		return err
	}
	for _, o := range all {
		one, err := o.sit(ctx)
		if err != nil {
			return err
		}
		defer one.leave()
	}
	after, err := b.settled(ctx, ports)
	if err != nil {
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

// settled is what each server holds when it has been left alone for a while.
func (b *bench) settled(ctx context.Context, ports []port) ([]int, error) {
	wait := quiet
	if b.short {
		wait = 5 * time.Second
	}
	if err := harness.Pause(ctx, wait); err != nil {
		return nil, err
	}
	all := make([]int, len(ports))
	for i, p := range ports {
		m, err := harness.MemoryOf(p.pid)
		if err != nil {
			return nil, err
		}
		all[i] = m.PSS
	}
	return all, nil
}
