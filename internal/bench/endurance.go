package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"sync/atomic"
	"time"
)

// trial is load on examples/hello while the same is done to it again and again.
type trial struct {
	what     string // is done
	times    int    // at least
	requests int    // at least
	rate     int    // of the requests, a second
	every    time.Duration
	limit    time.Duration // it ends by then, whatever has been reached
	do       func(ctx context.Context, c *cluster) (took float64, err error)
}

// measureMillion reloads every second or so for as long as it takes to ask a
// million times.
func measureMillion(ctx context.Context, b *bench) (table, error) {
	return b.try(ctx, trial{
		what: "rolling reloads", requests: b.less(enough, 5000), rate: 5000, every: time.Second, limit: 4 * time.Minute,
		do: func(ctx context.Context, c *cluster) (float64, error) { return c.reload(ctx) },
	})
}

// measureKills kills the primary, and starts the next one.
func measureKills(ctx context.Context, b *bench) (table, error) {
	return b.try(ctx, trial{
		what: "kills of the primary, each with adoption", times: b.less(50, 4), requests: b.less(100_000, 1000), rate: 1000,
		every: time.Second, limit: 3 * time.Minute,
		do: func(ctx context.Context, c *cluster) (float64, error) { return c.succeed(ctx) },
	})
}

// measureExecs executes the primary's code in place.
func measureExecs(ctx context.Context, b *bench) (table, error) {
	return b.try(ctx, trial{
		what: "execs in place", times: b.less(200, 5), requests: b.less(40_000, 1000), rate: 1000,
		every: 200 * time.Millisecond, limit: 3 * time.Minute,
		do: func(ctx context.Context, c *cluster) (float64, error) {
			return timed(ctx, c.bench.norestart, "ctl", "--dir", c.dir, "restart", "--primary")
		},
	})
}

// try runs a trial with both kinds of load.
func (b *bench) try(ctx context.Context, tr trial) (table, error) {
	var t table
	for _, keep := range []bool{false, true} {
		if err := tr.run(ctx, b, keep, &t); err != nil {
			return t, err
		}
	}
	return t, nil
}

func (tr trial) run(ctx context.Context, b *bench, keep bool, t *table) error {
	c, err := b.hello(ctx)
	if err != nil {
		return err
	}
	var phase atomic.Int32
	l := load{addr: c.web, keep: keep, rate: tr.rate, asked: new(atomic.Int64)}
	loading, end := context.WithCancel(ctx)
	out := make(chan outcome, 1)
	go func() { out <- l.run(loading, &phase) }()
	took, err := tr.repeat(ctx, c, l.asked)
	end()
	o := <-out
	if err = errors.Join(err, c.stop()); err != nil {
		return err
	}
	tr.report(t, keep, o, took)
	return nil
}

// repeat does it until all has been reached, or the time is over.
func (tr trial) repeat(ctx context.Context, c *cluster, asked *atomic.Int64) (took []float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, tr.limit)
	defer cancel()
	tick := time.NewTicker(tr.every)
	defer tick.Stop()
	for len(took) < tr.times || asked.Load() < int64(tr.requests) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return took, nil // the row says how far it came
			}
			return took, ctx.Err()
		}
		s, err := tr.do(context.WithoutCancel(ctx), c)
		if err != nil {
			return took, err
		}
		took = append(took, s)
	}
	return took, nil
}

func (tr trial) report(t *table, keep bool, o outcome, took []float64) {
	judgement := judge(o.failed() == 0)
	if o.failed() == 0 && (o.asked < tr.requests || len(took) < tr.times) {
		judgement = tooFew
	}
	t.add(fmt.Sprintf("failed requests in %d %s, %s", len(took), tr.what, kind(keep)),
		fmt.Sprintf("0 of %d", tr.requests), fmt.Sprintf("%d of %d", o.failed(), o.asked), judgement)
	var all []float64
	for _, phase := range slices.Sorted(maps.Keys(o.took)) {
		all = append(all, o.took[phase]...)
	}
	t.info("the same: a request", spread(all))
	t.info("the same: one of the "+tr.what, spread(took))
	if keep {
		t.info("the same: connections closed, each after an answer that said so", fmt.Sprint(o.dials-clients))
	}
	for _, text := range slices.Sorted(maps.Keys(o.failures)) {
		t.note("%s, %s: %d × %s", tr.what, kind(keep), o.failures[text], text)
	}
}

// spread is a distribution in one cell.
func spread(values []float64) string {
	return fmt.Sprintf("p50 %s, p99 %s, p99.9 %s, longest %s",
		seconds(median(values)), seconds(quantile(values, 0.99)), seconds(quantile(values, 0.999)), longest(values))
}

// succeed kills the primary and starts the next one, which has adopted all
// workers after the returned seconds.
func (c *cluster) succeed(ctx context.Context) (float64, error) {
	if err := c.cmd.Process.Kill(); err != nil {
		return 0, err
	}
	<-c.done
	next := exec.Command(c.cmd.Path, c.next...)
	next.Env = c.cmd.Env
	begin := time.Now()
	p, err := startPiped(next, next.StderrPipe)
	if err != nil {
		return 0, err
	}
	c.process = p
	_, err = c.line(ctx, allReady(c.workers))
	return time.Since(begin).Seconds(), err
}
