package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/norestart/norestart/internal/harness"
)

// hundreds is the number of workers of the largest pool by default
// (control.DefaultMaxWorkers), nearly.
const hundreds = 500

// measureScale500 is how a large pool starts, is reloaded and outlives its
// primary, and whether a long life of a small one leaves anything behind.
func measureScale500(ctx context.Context, b *bench) (table, error) {
	var t table
	if err := measureMany(ctx, b, &t, b.less(hundreds, 20)); err != nil {
		return t, err
	}
	for _, n := range []int{4, b.less(many, 10), b.less(hundreds, 20)} {
		if err := b.takeovers(ctx, &t, n); err != nil {
			return t, err
		}
	}
	return t, b.manyReloads(ctx, &t, b.less(hundreds, 20))
}

// takeovers measures what happens to a pool of n workers as a whole.
func (b *bench) takeovers(ctx context.Context, t *table, n int) error {
	c, err := b.cluster(ctx, n)
	if err != nil {
		return err
	}
	var execs, adoptions, reloads []float64
	for range b.turns() {
		for _, one := range []struct {
			into *[]float64
			do   func(context.Context) (float64, error)
		}{{&execs, c.execInPlace}, {&adoptions, c.succeed}, {&reloads, c.reloadOwn}} {
			s, err := one.do(ctx)
			if err != nil {
				return errors.Join(err, c.Stop())
			}
			*one.into = append(*one.into, s)
		}
	}
	for _, one := range []struct {
		what string
		took []float64
	}{
		{"exec in place, from the command to all of %d workers back", execs},
		{"from the start of a new primary to all of %d workers adopted", adoptions},
		{"reload of %d workers, one after the other, without canary and drains", reloads},
	} {
		t.info(fmt.Sprintf(one.what, n), seconds(median(one.took)))
		t.note("%s: %s", fmt.Sprintf(one.what, n), turnsText(one.took, seconds))
	}
	return c.Stop()
}

// reloadOwn measures a reload of workers that this primary has started: how one
// ends that was adopted takes longer to be known.
func (c *cluster) reloadOwn(ctx context.Context) (float64, error) {
	if _, err := c.reload(ctx); err != nil {
		return 0, err
	}
	return c.reload(ctx)
}

// manyReloads looks at what the primary holds after some reloads and after many.
func (b *bench) manyReloads(ctx context.Context, t *table, n int) error {
	c, err := b.cluster(ctx, 2)
	if err != nil {
		return err
	}
	var files []int
	var held []harness.Memory
	for i := range n {
		if _, err := c.reload(ctx); err != nil {
			return errors.Join(err, c.Stop())
		}
		if (i+1)%(n/5) > 0 {
			continue
		}
		m, err := harness.MemoryOf(c.PID())
		open, filesErr := harness.Descriptors(c.PID())
		if err = errors.Join(err, filesErr); err != nil {
			return errors.Join(err, c.Stop())
		}
		files, held = append(files, len(open)), append(held, m)
	}
	first, last := held[0], held[len(held)-1]
	t.add(fmt.Sprintf("descriptors of the primary after %d reloads of 2 workers, against after %d", n, n/5), "not more",
		fmt.Sprintf("%d; %d", files[len(files)-1], files[0]), judge(files[len(files)-1] <= files[0]))
	t.add("its private dirty memory, the same", "≤ 1.2 ×", fmt.Sprintf("%s; %s", mib(last.Dirty), mib(first.Dirty)), judge(float64(last.Dirty) <= 1.2*float64(first.Dirty)))
	for i, m := range held {
		t.note("after %d reloads: %d descriptors, PSS %s, private dirty %s", (i+1)*(n/5), files[i], mib(m.PSS), mib(m.Dirty))
	}
	return c.Stop()
}
