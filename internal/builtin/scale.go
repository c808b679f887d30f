package builtin

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

func scaleCommand() commands.Command {
	return commands.Command{
		Name: "scale", Role: commands.Operator, Group: groupChange, Flags: lastFlags, Run: run(1, 2, scale), Complete: first(ownPool),
		Usage: "[POOL] N|+N|-N|auto", Summary: "change how many workers a pool should have",
		Help: "POOL may be left out if the application has one pool. auto means as many as the machine\n" +
			"has processors. +N and -N are refused if somebody else changes the target meanwhile.\n" +
			"Asks for the cluster's name before the last worker ends; where it cannot ask, --yes is\n" +
			"needed. A pool scaled to 0 is off in status until it is scaled up.",
	}
}

// maxCount keeps sums of counts far from overflow; the primary checks the pool's
// own limit.
const maxCount = 1_000_000_000

type wish struct {
	pool  string // empty: the only one
	sign  byte   // '+', '-', or 0 for an absolute number
	count int
	text  string // as it was typed
}

func scale(ctx context.Context, call *Call) error {
	w, err := parseWish(call.Args[1:])
	if err != nil {
		return err
	}
	r := control.ScaleRequest{Pool: w.pool, To: w.count}
	if w.pool == "" || w.sign != 0 || w.count == 0 {
		s, err := call.status(ctx)
		if err != nil {
			return err
		}
		if r, err = w.request(s.Pools); err != nil {
			return err
		}
		if err := call.confirmOff(s, r); err != nil {
			return err
		}
	}
	waited := false // for another job, which may have changed the target
	job, err := call.beginNext(ctx, func(ctx context.Context) (_ control.Request, err error) {
		if waited && w.sign != 0 {
			r, err = call.recount(ctx, w, r)
		}
		waited = true
		return r, err
	})
	if err != nil || job.Total > 0 || !call.narrates() {
		return err
	}
	return call.sayUnchanged(ctx, r.Pool)
}

// recount computes a relative number again from the target of now. It must not
// end the last worker, because the user was not asked.
func (c *Call) recount(ctx context.Context, w wish, before control.ScaleRequest) (control.ScaleRequest, error) {
	s, err := c.status(ctx)
	if err != nil {
		return before, err
	}
	r, err := w.request(s.Pools)
	if err == nil && r.To == 0 && before.To != 0 {
		return r, &control.Error{
			Code: control.ErrConflict.Code, Message: fmt.Sprintf("%s has %d worker%s now: %s would end all of them", r.Pool, *r.Seen, plural(*r.Seen), w.text),
			Hint: "scale " + r.Pool + " 0",
		}
	}
	return r, err
}

// lastFlags are those of a change that may end the last worker of a pool.
func lastFlags(flags *pflag.FlagSet) {
	flags.Bool("yes", false, "do not ask before the last worker ends")
	jobFlags(flags)
}

// confirmOff asks before a pool is left without a worker.
func (c *Call) confirmOff(s control.Status, r control.ScaleRequest) error {
	if r.To != 0 || c.given("yes") {
		return nil
	}
	p, err := wish{pool: r.Pool}.find(s.Pools)
	if err != nil || p.Target == 0 {
		return err
	}
	return c.Confirm(fmt.Sprintf("This ends all workers of %s.", r.Pool))
}

// sayUnchanged tells that a job had nothing to do.
func (c *Call) sayUnchanged(ctx context.Context, pool string) error {
	s, err := c.status(ctx)
	if err != nil {
		return err
	}
	p, err := wish{pool: pool}.find(s.Pools)
	if err != nil {
		return err
	}
	line := fmt.Sprintf("%s has %d worker%s already", commands.Safe(p.Name), p.Target, plural(p.Target))
	if p.Dead > 0 {
		line += fmt.Sprintf(", %d dead (worker revive)", p.Dead)
	}
	c.Printf("%s\n", line)
	return nil
}

func parseWish(words []string) (wish, error) {
	number := words[len(words)-1]
	w := wish{text: number}
	if len(words) == 2 {
		w.pool = words[0]
	}
	if number == "auto" {
		w.count = control.Auto
		return w, nil
	}
	digits := number
	if strings.HasPrefix(number, "+") || strings.HasPrefix(number, "-") {
		w.sign, digits = number[0], number[1:]
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || n > maxCount {
		return wish{}, commands.Usagef("scale %s: %q is not a number of workers: N, +N, -N or auto", strings.Join(words, " "), number)
	}
	w.count = int(n)
	return w, nil
}

// request makes the wish absolute. A relative one carries the target that was
// seen: the primary refuses it if that has changed.
func (w wish) request(pools []control.PoolStatus) (control.ScaleRequest, error) {
	p, err := w.find(pools)
	if err != nil {
		return control.ScaleRequest{}, err
	}
	r := control.ScaleRequest{Pool: p.Name, To: w.count}
	switch w.sign {
	case '+':
		r.To, r.Seen = p.Target+w.count, &p.Target
	case '-':
		r.To, r.Seen = p.Target-w.count, &p.Target
	}
	if w.sign == '-' && r.To < 0 {
		return control.ScaleRequest{}, commands.Usagef("scale %s %s: %d - %d is below 0", p.Name, w.text, p.Target, w.count)
	}
	return r, nil
}

func (w wish) find(pools []control.PoolStatus) (control.PoolStatus, error) {
	var own []string
	for _, p := range pools {
		if !p.BuiltIn {
			own = append(own, p.Name)
		}
	}
	name := w.pool
	if name == "" {
		if len(own) != 1 {
			return control.PoolStatus{}, commands.Usagef("scale %s: which pool? %s", w.text, dash(strings.Join(own, ", ")))
		}
		name = own[0]
	}
	i := slices.IndexFunc(pools, func(p control.PoolStatus) bool { return p.Name == name })
	if i < 0 {
		return control.PoolStatus{}, &control.Error{
			Code: control.ErrNoPool.Code, Hint: control.ErrNoPool.Hint, Message: fmt.Sprintf("no pool %s", name),
		}
	}
	return pools[i], nil
}
