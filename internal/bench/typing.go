package main

import (
	"context"
	"errors"
)

// measureTyping is what a person waits for: for the echo of a key and for a
// command inside a session, and for one command from outside beside those that
// other process managers have for it.
func measureTyping(ctx context.Context, b *bench) (table, error) {
	var t table
	c, err := b.hello(ctx)
	if err != nil {
		return t, err
	}
	err = typing(ctx, b, &t, c)
	if err == nil {
		err = listings(ctx, b, &t, c)
	}
	return t, errors.Join(err, c.stop())
}

func typing(ctx context.Context, b *bench, t *table, c *cluster) error {
	k, err := c.keyboard()
	if err != nil {
		return err
	}
	echo, command, err := k.figures(ctx, b.less(500, 50), b.less(200, 20))
	if err = errors.Join(err, k.close()); err != nil {
		return err
	}
	t.info("the echo of a key in a session over ssh, median; 99 of 100 within", seconds(median(echo))+"; "+seconds(quantile(echo, 0.99)))
	t.info("`worker info` in a session, from Enter to the next prompt, median; 99 of 100 within", seconds(median(command))+"; "+seconds(quantile(command, 0.99)))
	t.note("%d keys, %d commands, one connection over loopback", len(echo), len(command))
	return nil
}

// figures types keys, erases them now and then, and runs commands.
func (k *keyboard) figures(ctx context.Context, keys, commands int) (echo, command []float64, err error) {
	for i := range keys {
		took, err := k.takes(ctx, "x", "x")
		if err != nil {
			return nil, nil, err
		}
		echo = append(echo, took)
		if i%40 == 39 || i == keys-1 {
			if _, err := k.takes(ctx, "\x03", "admin@hello> "); err != nil {
				return nil, nil, err
			}
		}
	}
	for range commands {
		if _, err := k.takes(ctx, "worker info", "worker info"); err != nil {
			return nil, nil, err
		}
		took, err := k.takes(ctx, "\r", "admin@hello> ")
		if err != nil {
			return nil, nil, err
		}
		command = append(command, took)
	}
	return echo, command, nil
}
