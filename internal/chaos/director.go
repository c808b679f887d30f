package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/norestart/norestart/internal/harness"
)

type action struct {
	kind  string
	often int
	// alone: the cluster is well before, and nothing else is done meanwhile.
	alone bool
	do    func(c *chaos, ctx context.Context) error
}

func repertoire() []action {
	return []action{
		{"reload", 4, false, (*chaos).reload},
		{"swap", 3, false, (*chaos).swap},
		{"restart", 2, false, (*chaos).restart},
		{"exec", 3, false, (*chaos).exec},
		{"scale", 4, false, (*chaos).scale},
		{"rollback", 1, false, (*chaos).rollback},
		{"replace", 2, false, (*chaos).replace},
		{"kill-worker", 4, false, (*chaos).killWorker},
		{"kill-shell", 2, false, (*chaos).killShell},
		{"kill-primary", 4, false, (*chaos).killPrimary},
		{"kill-both", 2, false, (*chaos).killBoth},
		{"hang-worker", 1, false, (*chaos).hangWorker},
		{"pause-worker", 2, false, (*chaos).pauseWorker},
		{"clock", 2, false, (*chaos).stepClock},
		{"broken", 2, true, (*chaos).breakProgram},
		{"disk", 1, true, (*chaos).fillDisk},
		{"files-primary", 1, true, (*chaos).starvePrimary},
		{"files-shell", 1, true, (*chaos).starveShell},
	}
}

func kinds() (all []string) {
	for _, a := range repertoire() {
		all = append(all, a.kind)
	}
	return all
}

// direct does one thing after the other until the time is over. Actions are
// drawn like cards, so that a run of some length has all of them; in the first
// round, which may be all of a short run, each is there once.
func (c *chaos) direct(ctx context.Context, until time.Time) error {
	var deck []action
	for round := 0; time.Now().Before(until) && ctx.Err() == nil; {
		if len(deck) == 0 {
			deck = c.shuffle(round)
			round++
		}
		if err := c.act(ctx, deck[0]); err != nil {
			return err
		}
		deck = deck[1:]
		if err := c.rest(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *chaos) shuffle(round int) []action {
	var deck []action
	for _, a := range repertoire() {
		if len(c.only) > 0 && !slices.Contains(c.only, a.kind) {
			continue
		}
		for range a.often {
			deck = append(deck, a)
			if round == 0 {
				break
			}
		}
	}
	c.random.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
	return deck
}

func (c *chaos) act(ctx context.Context, a action) error {
	if a.alone {
		c.orders.wait()
		if err := c.calm(ctx); err != nil {
			return err
		}
	}
	err := a.do(c, ctx)
	if errors.Is(err, errGone) {
		return nil // the process has ended by itself
	}
	return err
}

// rest waits a random time between two actions: often short, so that they meet.
func (c *chaos) rest(ctx context.Context) error {
	d := time.Duration(c.random.IntN(900)) * time.Millisecond
	if c.random.IntN(3) == 0 {
		d /= 20
	}
	return harness.Pause(ctx, d)
}

func (c *chaos) between(low, high int) int { return low + c.random.IntN(high-low+1) }

// order gives a command, by ctl or by ssh, when there is room for one.
func (c *chaos) order(ctx context.Context, kind string, words ...string) error {
	ssh := c.random.IntN(2) == 0
	for c.orders.busy() {
		if err := harness.Pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	c.orders.give(ctx, kind, ssh, words...)
	return nil
}
