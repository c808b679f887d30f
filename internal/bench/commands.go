package main

import (
	"context"
	"errors"
	"regexp"
)

// measureOneShots runs one command by the plain OpenSSH client, on the admin
// port and on the empty server in turns, and by norestart ctl.
func measureOneShots(ctx context.Context, b *bench) (table, error) {
	return b.withHello(ctx, func(t *table, c *cluster) error {
		empty, err := b.emptyPort(ctx)
		if err != nil {
			return err
		}
		return errors.Join(b.oneShots(ctx, t, c, empty), empty.stop())
	})
}

func (b *bench) withHello(ctx context.Context, measure func(*table, *cluster) error) (t table, err error) {
	c, err := b.hello(ctx)
	if err != nil {
		return t, err
	}
	return t, errors.Join(measure(&t, c), c.Stop())
}

func (b *bench) oneShots(ctx context.Context, t *table, c *cluster, empty port) error {
	ours, err := b.sshArgs(c.dir, c.admin)
	if err != nil {
		return err
	}
	theirs, err := b.sshArgs(empty.dir, empty.addr)
	if err != nil {
		return err
	}
	p, err := pairs(ctx, b.turns(), b.medianOf(ctx, "ssh", ours...), b.medianOf(ctx, "ssh", theirs...))
	if err != nil {
		return err
	}
	t.add("`ssh host worker info`", "≤ 15 ms", seconds(median(p.a)), judge(median(p.a) <= 0.015))
	faster := pair{a: p.b, b: p.a}
	t.add("the same, against an empty Go ssh server", "≥ 6 × faster", faster.String(), judge(faster.ratio() >= 6))
	t.info("the empty Go ssh server", seconds(median(p.b)))
	local, err := pairs(ctx, b.turns(),
		b.medianOf(ctx, b.norestart, "ctl", "--dir", c.dir, "worker", "info"),
		b.medianOf(ctx, b.norestart, "version"))
	if err != nil {
		return err
	}
	t.info("`norestart ctl worker info`; of it the start of the program (`norestart version`)", seconds(median(local.a))+"; "+seconds(median(local.b)))
	t.note("each turn is the median of %d runs: ours %s; empty %s; ctl %s", b.less(9, 3), turnsText(p.a, seconds), turnsText(p.b, seconds), turnsText(local.a, seconds))
	return nil
}

// measureClient runs one command by norestart exec and by the plain OpenSSH
// client, in turns, and the start of the program alone.
func measureClient(ctx context.Context, b *bench) (table, error) {
	return b.withHello(ctx, func(t *table, c *cluster) error {
		ours, err := c.execArgs()
		if err != nil {
			return err
		}
		plain, err := b.sshArgs(c.dir, c.admin)
		if err != nil {
			return err
		}
		p, err := pairs(ctx, b.turns(), b.medianOf(ctx, b.norestart, ours...), b.medianOf(ctx, "ssh", plain...))
		if err != nil {
			return err
		}
		start, err := b.medianOf(ctx, b.norestart, "version")()
		if err != nil {
			return err
		}
		t.add("`norestart exec … worker info`", "≤ 10 ms", seconds(median(p.a)), judge(median(p.a) <= 0.010))
		t.info("the same by plain `ssh`", seconds(median(p.b))+", "+pair{a: p.b, b: p.a}.String())
		t.info("of ours the start of the program (`norestart version`)", seconds(start))
		t.note("each turn is the median of %d runs: ours %s; ssh %s", b.less(9, 3), turnsText(p.a, seconds), turnsText(p.b, seconds))
		return nil
	})
}

func (b *bench) medianOf(ctx context.Context, name string, args ...string) func() (float64, error) {
	return b.several(9, func() (float64, error) { return timed(ctx, name, args...) })
}

// measureTyping is what a person waits for in a session: for the echo of a key
// and for a command.
func measureTyping(ctx context.Context, b *bench) (table, error) {
	return b.withHello(ctx, func(t *table, c *cluster) error {
		p, err := c.port(ctx)
		if err != nil {
			return err
		}
		operators, err := b.operators(p, 1)
		if err != nil {
			return err
		}
		s, err := operators[0].sit(ctx)
		if err != nil {
			return err
		}
		echo, command, err := s.figures(ctx, b.less(500, 50), b.less(200, 20))
		if err = errors.Join(err, s.leave()); err != nil {
			return err
		}
		t.info("the echo of a key in a session over ssh, median; 99 of 100 within", seconds(median(echo))+"; "+seconds(quantile(echo, 0.99)))
		t.info("`worker info` in a session, from Enter to the next prompt, median; 99 of 100 within", seconds(median(command))+"; "+seconds(quantile(command, 0.99)))
		t.note("%d keys, %d commands, one connection over loopback", len(echo), len(command))
		return nil
	})
}

var (
	prompt = regexp.MustCompile(`> $`)
	key    = regexp.MustCompile(`x`)
	typed  = regexp.MustCompile(`worker info`)
)

// figures types keys, erases them now and then, and runs commands.
func (s *session) figures(ctx context.Context, keys, commands int) (echo, command []float64, err error) {
	for i := range keys {
		took, err := s.takes(ctx, "x", key)
		if err != nil {
			return nil, nil, err
		}
		echo = append(echo, took)
		if i%40 == 39 || i == keys-1 {
			if _, err := s.takes(ctx, "\x03", prompt); err != nil {
				return nil, nil, err
			}
		}
	}
	for range commands {
		if _, err := s.takes(ctx, "worker info", typed); err != nil {
			return nil, nil, err
		}
		took, err := s.takes(ctx, "\r", prompt)
		if err != nil {
			return nil, nil, err
		}
		command = append(command, took)
	}
	return echo, command, nil
}
