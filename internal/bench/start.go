package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/norestart/norestart/internal/harness"
)

// answered asks until it gets an answer without the text not, which is that of
// the killed process.
func answered(ctx context.Context, addr, not string) error {
	ctx, cancel := context.WithTimeout(ctx, harness.Patience)
	defer cancel()
	for {
		one := httpClient(addr, false)
		s := one.Get("/", "")
		if s.Err == nil && !strings.Contains(s.Body, not) {
			return nil
		}
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), s.Err)
		}
	}
}

// measureStarts compares a reload of four workers with four starts of the bare
// process, and a hundred workers with a hundred of them.
func measureStarts(ctx context.Context, b *bench) (table, error) {
	var t table
	c, err := b.cluster(ctx, 4)
	if err != nil {
		return t, err
	}
	p, err := pairs(ctx, b.turns(),
		b.several(7, func() (float64, error) { return c.reload(ctx) }),
		b.several(7, func() (float64, error) { return b.inARow(ctx, 4) }))
	var ctl float64
	if err == nil {
		ctl, err = b.medianOf(ctx, b.norestart, "ctl", "--dir", c.dir, "worker", "info")()
	}
	if err == nil {
		t.add("reload of 4 workers, command to done, without canary and drains, against 4 process starts", "≤ 1.5 ×", p.String(), judge(p.ratio() <= 1.5))
		t.info("the reload; the 4 starts, one after the other", seconds(median(p.a))+"; "+seconds(median(p.b)))
		t.info("of the reload: `norestart ctl` itself, measured with `worker info`", seconds(ctl))
		t.note("reload %s; starts %s", turnsText(p.a, seconds), turnsText(p.b, seconds))
	}
	if err = errors.Join(err, c.Stop()); err != nil {
		return t, err
	}
	return t, measureMany(ctx, b, &t, many)
}

// inARow starts n bare processes, each when the one before has answered.
func (b *bench) inARow(ctx context.Context, n int) (took float64, err error) {
	for range n {
		s, startErr := b.bareStart(ctx)
		if startErr != nil {
			return 0, startErr
		}
		took += s
	}
	return took, nil
}

const many = 100

// measureMany compares n workers that come at once with n bare starts.
func measureMany(ctx context.Context, b *bench, t *table, n int) error {
	c, err := b.cluster(ctx, 1)
	if err != nil {
		return err
	}
	p, err := pairs(ctx, b.turns(),
		func() (float64, error) { return c.grow(ctx, n) },
		func() (float64, error) { return b.atOnce(ctx, n) })
	if err == nil {
		t.add(fmt.Sprintf("%d workers ready, against as many bare starts, %d at a time", n, runtime.GOMAXPROCS(0)), "≤ 1.3 ×", p.String(), judge(p.ratio() <= 1.3))
		t.info("the workers (`scale`, command to done); the bare starts", seconds(median(p.a))+"; "+seconds(median(p.b)))
		t.note("workers %s; starts %s", turnsText(p.a, seconds), turnsText(p.b, seconds))
	}
	return errors.Join(err, c.Stop())
}

// grow scales from one worker to n more, and back.
func (c *cluster) grow(ctx context.Context, n int) (float64, error) {
	took, err := c.ctl(ctx, "scale", "web", strconv.Itoa(n+1))
	if err != nil {
		return 0, err
	}
	_, err = c.ctl(ctx, "scale", "web", "1")
	return took, err
}

// atOnce starts n bare processes, as many at a time as there are processors,
// and returns the seconds until the last has answered. Only then they end.
func (b *bench) atOnce(ctx context.Context, n int) (float64, error) {
	var mu sync.Mutex // protects running and failed
	var running []*bare
	var failed error
	var wg sync.WaitGroup
	room := make(chan struct{}, runtime.GOMAXPROCS(0))
	begin := time.Now()
	for range n {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			one, err := b.bare()
			if err == nil {
				err = answered(ctx, one.addr, "none")
			}
			mu.Lock()
			defer mu.Unlock()
			running, failed = append(running, one), errors.Join(failed, err)
		})
	}
	wg.Wait()
	took := time.Since(begin).Seconds()
	for _, one := range running {
		if one != nil { // it was started
			failed = errors.Join(failed, one.Stop())
		}
	}
	return took, failed
}
