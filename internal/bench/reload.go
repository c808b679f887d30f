package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"
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
func measureReloads(ctx context.Context, b *bench) (table, error) {
	var t table
	for _, keep := range []bool{false, true} {
		r, err := reloads(ctx, b, keep)
		if err != nil {
			return t, err
		}
		r.report(&t, b.turns())
	}
	return t, nil
}

// reloaded is what came of a row of reloads.
type reloaded struct {
	outcome
	keep  bool
	count int
	took  []float64 // seconds, of each reload
}

func kind(keep bool) string {
	if keep {
		return "keep-alive"
	}
	return "connection per request"
}

func reloads(ctx context.Context, b *bench, keep bool) (reloaded, error) {
	r := reloaded{keep: keep, count: b.less(20, 4)}
	c, err := b.hello(ctx)
	if err != nil {
		return r, err
	}
	var phase atomic.Int32
	loading, end := context.WithCancel(ctx)
	out := make(chan outcome, 1)
	go func() { out <- load{addr: c.web, keep: keep, rate: rate}.run(loading, &phase) }()
	for i := range r.count {
		if err = r.one(ctx, c, int32(i), &phase); err != nil {
			break
		}
	}
	end()
	r.outcome = <-out
	if stopErr := c.stop(); err == nil {
		err = stopErr
	}
	return r, err
}

// one is a steady time as long as the last reload, and then a reload.
func (r *reloaded) one(ctx context.Context, c *cluster, i int32, phase *atomic.Int32) error {
	steady := time.Second
	if i > 0 {
		steady = max(steady, time.Duration(r.took[i-1]*float64(time.Second)))
	}
	phase.Store(2 * i)
	select {
	case <-time.After(steady):
	case <-ctx.Done():
		return ctx.Err()
	}
	phase.Store(2*i + 1)
	begin := time.Now()
	_, err := c.ctl(ctx, "reload")
	r.took = append(r.took, time.Since(begin).Seconds())
	return err
}

func (r *reloaded) report(t *table, groups int) {
	steady, during := r.group(0, r.count, 0), r.group(0, r.count, 1)
	t.add(fmt.Sprintf("failed requests in %d reloads, %s", r.count, kind(r.keep)), "0 of 1,000,000",
		fmt.Sprintf("%d of %d (%d while a reload ran)", r.failed(), r.asked, len(during)), judgeFailures(r.failed(), r.asked))
	p := r.p99(groups)
	t.add("p99 during a reload against steady, "+kind(r.keep), "≤ 1.2 ×", p.String(), judge(p.ratio() <= 1.2))
	t.info("the same of all requests: steady, during", fmt.Sprintf("p50 %s, %s; p99 %s, %s; longest %s, %s",
		seconds(median(steady)), seconds(median(during)), seconds(quantile(steady, 0.99)), seconds(quantile(during, 0.99)), longest(steady), longest(during)))
	t.info("duration of a reload with canary 0.5 s and lame duck 2 s, "+kind(r.keep),
		fmt.Sprintf("median %s (%s–%s)", seconds(median(r.took)), seconds(slices.Min(r.took)), seconds(slices.Max(r.took))))
	if r.keep {
		t.info("keep-alive connections closed, each after an answer that said so", fmt.Sprintf("%d of %d clients in %d reloads", r.dials-clients, clients, r.count))
	}
	for _, text := range slices.Sorted(maps.Keys(r.failures)) {
		t.note("%s: %d × %s", kind(r.keep), r.failures[text], text)
	}
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
		all = append(all, r.outcome.took[2*int32(i)+odd]...)
	}
	return all
}

func longest(values []float64) string { return seconds(quantile(values, 1)) }
