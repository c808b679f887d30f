package main

import (
	"context"
	"errors"
	"fmt"
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

func measureKills(ctx context.Context, b *bench) (table, error) {
	return b.try(ctx, trial{
		what: "kills of the primary, each with adoption", times: b.less(50, 4), requests: b.less(100_000, 1000), rate: 1000,
		every: time.Second, limit: 3 * time.Minute,
		do: func(ctx context.Context, c *cluster) (float64, error) { return c.succeed(ctx) },
	})
}

func measureExecs(ctx context.Context, b *bench) (table, error) {
	return b.try(ctx, trial{
		what: "execs in place", times: b.less(200, 5), requests: b.less(40_000, 1000), rate: 1000,
		every: 200 * time.Millisecond, limit: 3 * time.Minute,
		do: func(ctx context.Context, c *cluster) (float64, error) {
			return c.ctl(ctx, "restart", "--primary")
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
	l := startLoad(ctx, c.web, keep, tr.rate)
	took, err := tr.repeat(ctx, c, l)
	o := l.stop()
	if err = errors.Join(err, c.Stop()); err != nil {
		return err
	}
	tr.report(t, keep, o, took)
	return nil
}

// repeat does it until all has been reached, or the time is over.
func (tr trial) repeat(ctx context.Context, c *cluster, l *load) (took []float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, tr.limit)
	defer cancel()
	tick := time.NewTicker(tr.every)
	defer tick.Stop()
	for len(took) < tr.times || l.Now().Requests < tr.requests {
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
	judgement := judge(o.Failed == 0)
	if o.Failed == 0 && (o.Requests < tr.requests || len(took) < tr.times) {
		judgement = tooFew
	}
	t.add(fmt.Sprintf("failed requests in %d %s, %s", len(took), tr.what, kind(keep)),
		fmt.Sprintf("0 of %d", tr.requests), fmt.Sprintf("%d of %d", o.Failed, o.Requests), judgement)
	t.info("the same: a request", spread(o.all()))
	t.info("the same: one of the "+tr.what, spread(took))
	if keep {
		t.info("the same: connections closed, each after an answer that said so", fmt.Sprint(o.Connections-clients))
	}
	o.explain(t, tr.what+", "+kind(keep))
}

func spread(values []float64) string {
	return fmt.Sprintf("p50 %s, p99 %s, p99.9 %s, longest %s",
		seconds(median(values)), seconds(quantile(values, 0.99)), seconds(quantile(values, 0.999)), longest(values))
}
