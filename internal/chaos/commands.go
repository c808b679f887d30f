package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/norestart/norestart/control"
)

// The target moves between these.
const (
	fewestWorkers = 2
	mostWorkers   = 5
)

func (c *chaos) reload(ctx context.Context) error { return c.order(ctx, "reload", "reload") }

// swap puts another file with the same program at the path, and reloads.
func (c *chaos) swap(ctx context.Context) error {
	if err := c.put(c.images[c.random.IntN(len(c.images))]); err != nil {
		return err
	}
	return c.order(ctx, "swap", "reload")
}

func (c *chaos) restart(ctx context.Context) error { return c.order(ctx, "restart", "restart") }

func (c *chaos) exec(ctx context.Context) error {
	return c.order(ctx, "exec", "restart", "--primary")
}

func (c *chaos) scale(ctx context.Context) error {
	to := c.between(fewestWorkers, mostWorkers)
	return c.order(ctx, "scale", "scale", webPool, strconv.Itoa(to))
}

// rollback goes back to some generation that is kept. With another command
// under way it might be one that is no longer.
func (c *chaos) rollback(ctx context.Context) error {
	c.orders.wait()
	all, err := control.Get(ctx, c.client, control.GenerationsQuery{})
	if err != nil {
		return ctx.Err() // there is no primary just now
	}
	var old []int
	for _, g := range all {
		if g.Pool == webPool && !g.Current && !g.GivenUp && g.Kept != control.KeptNo {
			old = append(old, g.Number)
		}
	}
	if len(old) == 0 {
		return nil
	}
	return c.order(ctx, "rollback", "rollback", webPool, strconv.Itoa(old[c.random.IntN(len(old))]))
}

func (c *chaos) replace(ctx context.Context) error {
	return c.order(ctx, "replace", "worker", "restart", fmt.Sprintf("%s/%d", webPool, c.random.IntN(fewestWorkers)))
}
