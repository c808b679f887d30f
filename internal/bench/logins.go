package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// measureLogins lets 32 operators log in, run a command and leave, as often as
// they can, and then run commands on connections that stay.
func measureLogins(ctx context.Context, b *bench) (table, error) {
	var t table
	c, err := b.clusterWithShell(ctx, clients)
	if err != nil {
		return t, err
	}
	ports, err := b.ports(ctx, c)
	if err != nil {
		return t, err
	}
	err = b.rates(ctx, &t, ports, "logins with one command a second", 0.9, b.loginRate)
	if err == nil {
		err = b.rates(ctx, &t, ports, "commands a second on kept connections", 0.7, b.commandRate)
	}
	t.note("%d operators by golang.org/x/crypto/ssh from eight addresses, on the same processors; the empty server answers with one fixed line; the admin port has its penalties and audit log as they are by default, and takes all of them as one user", clients)
	return t, errors.Join(err, stopPorts(ports))
}

// rates compares what the ports do in a second, in turns. The first is ours, the
// second what the target is a ratio to. Ours is measured twice: by a command
// that the shell worker answers itself, as the others do, and by one that asks
// the primary.
func (b *bench) rates(ctx context.Context, t *table, ports []port, what string, target float64, rate func(context.Context, port) (float64, error)) error {
	asking := ports[0]
	asking.command = "worker info"
	ports = append(ports[:2:2], asking)
	var measures []func() (float64, error)
	for _, p := range ports {
		measures = append(measures, func() (float64, error) { return rate(ctx, p) })
	}
	all, err := alternate(ctx, b.turns(), measures...)
	if err != nil {
		return err
	}
	for i, p := range ports {
		t.note("%s, `%s` of %s: %s", what, p.command, p.name, turnsText(all[i], whole))
		versus := pair{a: all[i], b: all[1]}
		if i != 1 {
			t.add(fmt.Sprintf("%s, `%s`, against the %s", what, p.command, ports[1].name), fmt.Sprintf("≥ %.1f ×", target), versus.String(), judge(versus.ratio() >= target))
		}
	}
	return nil
}

func (b *bench) loginRate(ctx context.Context, p port) (float64, error) {
	operators, err := b.operators(p, clients)
	if err != nil {
		return 0, err
	}
	var turns []func() error
	for _, o := range operators {
		turns = append(turns, func() error { return o.once(ctx) })
	}
	return repeatFor(b.window(), turns)
}

// commandRate is how many commands succeed in a second when everybody has
// logged in before.
func (b *bench) commandRate(ctx context.Context, p port) (rate float64, err error) {
	operators, err := b.operators(p, clients)
	if err != nil {
		return 0, err
	}
	var turns []func() error
	for _, o := range operators {
		client, conn, err := o.login(ctx)
		if err != nil {
			return 0, err
		}
		defer client.Close() // at the end of the measurement, whatever it brought
		turns = append(turns, func() error { return o.run(client, conn) })
	}
	return repeatFor(b.window(), turns)
}

// repeatFor does all of them at the same time, each again and again until the
// window is over, and returns how often a second. What fails is an error, and is
// not done again.
func repeatFor(window time.Duration, turns []func() error) (float64, error) {
	counts, failed := make([]int, len(turns)), make([]error, len(turns))
	var all sync.WaitGroup
	begin := time.Now()
	for i, turn := range turns {
		all.Go(func() {
			for time.Since(begin) < window && failed[i] == nil {
				failed[i] = turn()
				counts[i]++
			}
		})
	}
	all.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / time.Since(begin).Seconds(), errors.Join(failed...)
}
