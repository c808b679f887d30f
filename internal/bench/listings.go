package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// listing is a program that says what a cluster of four processes is doing.
type listing struct {
	name string
	run  func(context.Context) error
	stop func() error
}

// listings measures them in turns: ours first, then the others in their order.
func listings(ctx context.Context, b *bench, t *table, c *cluster) error {
	all, missing, err := b.listings(ctx, c)
	if err == nil {
		err = inTurns(ctx, b, t, all)
	}
	for _, l := range all {
		err = errors.Join(err, l.stop())
	}
	if len(missing) > 0 {
		t.note("left out, not installed: %s", strings.Join(missing, ", "))
	}
	return err
}

func inTurns(ctx context.Context, b *bench, t *table, all []listing) error {
	medians := make([][]float64, len(all))
	for range b.turns() {
		for i, l := range all {
			m, err := l.median(ctx, b.less(9, 3))
			if err != nil {
				return fmt.Errorf("%s: %w", l.name, err)
			}
			medians[i] = append(medians[i], m)
		}
	}
	for i, l := range all {
		text := seconds(median(medians[i]))
		if i > 0 {
			text += ", " + pair{a: medians[i], b: medians[0]}.String()
		}
		t.info("`"+l.name+"`", text)
		t.note("%s: each turn is the median of %d runs: %s", l.name, b.less(9, 3), turnsText(medians[i], seconds))
	}
	return nil
}

func (l listing) median(ctx context.Context, runs int) (float64, error) {
	var took []float64
	for range runs {
		begin := time.Now()
		if err := l.run(ctx); err != nil {
			return 0, err
		}
		took = append(took, time.Since(begin).Seconds())
	}
	return median(took), nil
}

// listings starts what is installed; what is not is named.
func (b *bench) listings(ctx context.Context, c *cluster) (all []listing, missing []string, err error) {
	ours, err := c.execArgs()
	if err != nil {
		return nil, nil, err
	}
	plain, err := c.sshArgs()
	if err != nil {
		return nil, nil, err
	}
	program := func(name string, args []string) func(context.Context) error {
		return func(ctx context.Context) error { _, err := output(ctx, name, args...); return err }
	}
	none := func() error { return nil }
	all = []listing{
		{"norestart exec … worker info", program(b.norestart, ours), none},
		{"ssh … worker info", program("ssh", plain), none},
	}
	for _, launch := range []func(context.Context, *bench) (listing, error){listPM2, listSupervisor} {
		l, err := launch(ctx, b)
		switch {
		case errors.Is(err, exec.ErrNotFound):
			missing = append(missing, l.name)
		case err != nil:
			return all, missing, fmt.Errorf("%s: %w", l.name, err)
		default:
			all = append(all, l)
		}
	}
	return all, missing, nil
}
