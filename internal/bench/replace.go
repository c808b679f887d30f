package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// measureReplace kills the only worker of a cluster and asks until its
// successor answers; in turns with starts of the bare process. With one worker
// every connection comes to the slot that was killed.
func measureReplace(ctx context.Context, b *bench) (table, error) {
	var t table
	c, err := b.cluster(ctx, 1)
	if err != nil {
		return t, err
	}
	p, err := pairs(ctx, b.turns(),
		b.several(7, func() (float64, error) { return c.kill(ctx) }),
		b.several(7, func() (float64, error) { return b.bareStart(ctx) }))
	if err == nil {
		t.add("killed worker replaced and serving, against the start of the bare process", "≤ 1.5 ×", p.String(), judge(p.ratio() <= 1.5))
		t.info("from kill -9 to the first answer of the new process", seconds(median(p.a)))
		t.info("from fork to the first answer of the bare process", seconds(median(p.b)))
		t.note("each turn is the median of %d: replaced %s; started %s", b.less(7, 3), turnsText(p.a, seconds), turnsText(p.b, seconds))
	}
	return t, errors.Join(err, c.Stop())
}

func (b *bench) several(times int, measure func() (float64, error)) func() (float64, error) {
	return func() (float64, error) {
		var all []float64
		for range b.less(times, 3) {
			s, err := measure()
			if err != nil {
				return 0, err
			}
			all = append(all, s)
		}
		return median(all), nil
	}
}

// kill kills the worker and returns the seconds until another one answers. The
// reload that follows forgives the slot its accident: a second one within ten
// seconds would be started after a pause.
func (c *cluster) kill(ctx context.Context) (float64, error) {
	pids, err := c.pids(ctx)
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := syscall.Kill(pids["web/0"], syscall.SIGKILL); err != nil {
		return 0, fmt.Errorf("kill web/0: %w", err)
	}
	if err := answered(ctx, c.web, fmt.Sprintf("pid=%d ", pids["web/0"])); err != nil {
		return 0, err
	}
	took := time.Since(begin).Seconds()
	_, err = c.reload(ctx)
	return took, err
}

// bareStart returns the seconds from the start of a bare process to its first
// answer.
func (b *bench) bareStart(ctx context.Context) (float64, error) {
	begin := time.Now()
	one, err := b.bare()
	if err != nil {
		return 0, err
	}
	err = answered(ctx, one.addr, "none")
	took := time.Since(begin).Seconds()
	return took, errors.Join(err, one.Stop())
}
