package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/harness"
)

type chaos struct {
	options
	*place
	*journal
	random  *rand.Rand // of the director alone
	primary *keeper
	watch   *watcher
	orders  *operator
	access  *accessLog
	clients []*harness.Running
}

// errWrong is a run that has found something; the summary says what.
var errWrong = errors.New("the cluster did what it must not do")

// run prepares, lets chaos reign, and judges.
func run(ctx context.Context, o options, out io.Writer) (err error) {
	fmt.Fprintf(out, "chaos for %v, seed %d\n", o.length, o.seed)
	p, err := newPlace(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.remove()) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &chaos{options: o, place: p, journal: newJournal(cancel), random: rand.New(rand.NewPCG(o.seed, 0))}
	if err := c.reign(ctx); err != nil && !c.failed() {
		return err
	}
	c.summary(out, o.seed, p.leftOut)
	if !c.failed() {
		return nil
	}
	fmt.Fprintf(out, "what the cluster said last:\n%s\n", p.consoleEnd())
	return errWrong
}

// reign starts everything, does what there is to do, and ends everything again.
func (c *chaos) reign(ctx context.Context) error {
	if err := c.begin(ctx); err != nil {
		return errors.Join(err, c.end(ctx))
	}
	err := c.direct(ctx, time.Now().Add(c.length))
	c.orders.wait()
	if err == nil && ctx.Err() == nil {
		err = c.calm(ctx)
	}
	return errors.Join(err, c.end(ctx))
}

func (c *chaos) begin(ctx context.Context) (err error) {
	if c.access, err = openAccessLog(c.place, c.journal); err != nil {
		return err
	}
	c.watch = newWatcher(c.place, c.journal)
	c.orders = &operator{place: c.place, journal: c.journal, watch: c.watch}
	c.primary = newKeeper(c.place, c.journal)
	if err := c.primary.start(); err != nil {
		return err
	}
	if err := c.calm(ctx); err != nil {
		return err
	}
	if err := c.meet(ctx); err != nil {
		return err
	}
	c.watch.begin(c.primary)
	c.clients = startClients(c.web, c.rate, c.journal, c.access.of)
	return nil
}

// meet learns the addresses: from now on they may not change.
func (c *chaos) meet(ctx context.Context) error {
	s, err := control.Get(ctx, c.client, control.StatusQuery{})
	if err != nil {
		return err
	}
	return c.settle(s)
}

// end stops what begin has started, and looks what is left.
func (c *chaos) end(ctx context.Context) error {
	for _, clients := range c.clients {
		clients.Stop()
	}
	if c.watch != nil {
		c.watch.end()
	}
	var err error
	if c.primary != nil && c.primary.pid() != 0 {
		err = c.stop(ctx)
	}
	if c.access != nil {
		c.access.close()
	}
	return err
}

func (c *chaos) stop(ctx context.Context) error {
	if ctx.Err() != nil { // a fault was found: the summary shows it
		return nil
	}
	c.watch.lookBack(ctx)
	c.did("", "stop")
	c.primary.retire()
	if out, err := c.orders.ctl(ctx, "stop", "--yes"); err != nil {
		c.wrong("stop: %v: %s", err, out)
		return nil
	}
	if !c.primary.gone(time.Minute) {
		c.wrong("the primary still runs a minute after stop")
		return nil
	}
	if left := c.left(); len(left) > 0 {
		c.wrong("left after stop: %q", left)
	}
	return nil
}

// patience is how long the cluster may need to be well again, on a machine
// that has other things to do: a lost worker, back-off and drains included.
const patience = 90 * time.Second

// calm waits until the cluster is well and at rest.
func (c *chaos) calm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var why string
	for {
		asked := time.Now()
		if why = c.watch.ill(ctx); why == "" {
			c.settled(asked)
			if c.quiet() {
				return nil
			}
			why = "what was done does not show yet"
		}
		if err := harness.Pause(ctx, 100*time.Millisecond); err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				c.wrong("not well within %v: %s", patience, why)
			}
			return err
		}
	}
}
