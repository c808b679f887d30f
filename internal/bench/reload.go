package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/norestart/norestart/internal/harness"
)

// rate is that of the load under which reloads are measured.
const rate = 1000

// enough is how many requests a verdict on failed ones needs.
const enough = 1_000_000

// judgeFailures is the verdict on failed requests: one is enough to miss.
func judgeFailures(failed, asked int) verdict {
	switch {
	case failed > 0:
		return missed
	case asked < enough:
		return tooFew
	}
	return reached
}

// measureReloads reloads examples/hello under load. Phase 2i is the i-th
// steady time, phase 2i+1 the i-th reload.
func measureReloads(ctx context.Context, b *bench) (t table, err error) {
	for _, keep := range []bool{false, true} {
		c, err := b.hello(ctx)
		if err != nil {
			return t, err
		}
		r := reloaded{keep: keep, count: b.less(20, 4)}
		if err := errors.Join(r.run(ctx, c.web, 0, c.reload), c.Stop()); err != nil {
			return t, err
		}
		r.report(&t, b.turns())
	}
	return t, nil
}

// other measures a server that listens already, as tools/neighbours does. Its
// reload lasts a second longer than its command: most return from that long before
// they have reloaded.
func other(addr, command string) func(context.Context, *bench) (table, error) {
	return func(ctx context.Context, b *bench) (t table, err error) {
		if err := answered(ctx, addr, "none"); err != nil {
			return t, fmt.Errorf("no answer from %s: %w", addr, err)
		}
		for _, keep := range []bool{false, true} {
			r := reloaded{keep: keep, count: b.less(6, 2)}
			if err := r.run(ctx, addr, time.Second, func(ctx context.Context) (float64, error) { return timed(ctx, "sh", "-c", command) }); err != nil {
				return t, err
			}
			r.report(&t, b.turns())
		}
		return t, nil
	}
}

type reloaded struct {
	outcome
	keep  bool
	count int
	times []float64 // seconds, of each reload
}

func kind(keep bool) string {
	if keep {
		return "keep-alive"
	}
	return "connection per request"
}

// run reloads a server under load. It counts as reloading for settle longer than
// the command takes.
func (r *reloaded) run(ctx context.Context, addr string, settle time.Duration, reload func(context.Context) (float64, error)) (err error) {
	l := startLoad(ctx, addr, r.keep, rate)
	defer func() { r.outcome = l.stop() }()
	steady := time.Second // and as long as the last reload
	for i := range int32(r.count) {
		l.phase.Store(2 * i)
		if err := harness.Pause(ctx, steady); err != nil {
			return err
		}
		l.phase.Store(2*i + 1)
		took, err := reload(ctx)
		if err := errors.Join(err, harness.Pause(ctx, settle)); err != nil {
			return err
		}
		r.times = append(r.times, took)
		steady = max(time.Second, time.Duration(took*float64(time.Second)))
	}
	return nil
}

func (r *reloaded) report(t *table, groups int) {
	steady, during := r.group(0, r.count, 0), r.group(0, r.count, 1)
	t.add(fmt.Sprintf("failed requests in %d reloads, %s", r.count, kind(r.keep)), "0 of 1,000,000",
		fmt.Sprintf("%d of %d (%d while a reload ran)", r.Failed, r.Requests, len(during)), judgeFailures(r.Failed, r.Requests))
	p := r.p99(groups)
	t.add("p99 during a reload against steady, "+kind(r.keep), "≤ 1.2 ×", p.String(), judge(p.ratio() <= 1.2))
	t.info("the same of all requests: steady, during", fmt.Sprintf("p50 %s, %s; p99 %s, %s; longest %s, %s",
		seconds(median(steady)), seconds(median(during)), seconds(quantile(steady, 0.99)), seconds(quantile(during, 0.99)), longest(steady), longest(during)))
	t.info("duration of a reload (ours with canary 0.5 s and lame duck 2 s), "+kind(r.keep),
		fmt.Sprintf("median %s (%s–%s)", seconds(median(r.times)), seconds(slices.Min(r.times)), seconds(slices.Max(r.times))))
	if r.keep {
		t.info("keep-alive connections closed, each after an answer that said so", fmt.Sprintf("%d of %d clients in %d reloads", r.Connections-clients, clients, r.count))
	}
	r.explain(t, kind(r.keep))
	t.note("p99 of the groups of reloads, %s: steady %s; during %s", kind(r.keep), turnsText(p.b, seconds), turnsText(p.a, seconds))
}

// p99 pairs groups of reloads with the steady times between them.
func (r *reloaded) p99(groups int) pair {
	var p pair
	size := r.count / groups
	for g := range groups {
		p.b = append(p.b, quantile(r.group(g*size, (g+1)*size, 0), 0.99))
		p.a = append(p.a, quantile(r.group(g*size, (g+1)*size, 1), 0.99))
	}
	return p
}

// group is what requests took in the rounds from one to before another.
func (r *reloaded) group(from, to int, odd int32) []float64 {
	var all []float64
	for i := from; i < to; i++ {
		all = append(all, r.took[2*int32(i)+odd]...)
	}
	return all
}

func longest(values []float64) string { return seconds(quantile(values, 1)) }
