package commands

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/norestart/norestart/control"
)

// maxCount keeps sums of counts far from overflow; what a pool may have is the
// cluster's to say.
const maxCount = 1_000_000_000

// wish is what "scale" was asked for.
type wish struct {
	pool  string // empty: the only one
	sign  byte   // '+', '-', or 0 for an absolute number
	count int    // or control.Auto
	text  string // as it was typed
}

func scale(ctx context.Context, call *Call) error {
	words, err := call.Words(1, 2)
	if err != nil {
		return err
	}
	w, err := parseWish(words)
	if err != nil {
		return err
	}
	r := control.ScaleRequest{Pool: w.pool, To: w.count}
	if w.pool == "" || w.sign != 0 {
		s, err := call.status(ctx)
		if err != nil {
			return err
		}
		if r, err = w.request(s.Pools); err != nil {
			return err
		}
	}
	var job control.Job
	err = call.begin(ctx, func(ctx context.Context) (_ control.Job, err error) {
		job, err = call.Primary.Scale(ctx, r)
		return job, err
	})
	if err != nil || job.Total > 0 || !call.narrates() {
		return err
	}
	return call.sayUnchanged(ctx, r.Pool)
}

// sayUnchanged is for a job without a step, which would say nothing.
func (c *Call) sayUnchanged(ctx context.Context, pool string) error {
	s, err := c.status(ctx)
	if err != nil {
		return err
	}
	p, err := wish{pool: pool}.find(s.Pools)
	if err != nil {
		return err
	}
	line := fmt.Sprintf("%s has %d worker%s already", Safe(p.Name), p.Target, plural(p.Target))
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
		return wish{}, Usagef("scale %s: %q is not a number of workers: N, +N, -N or auto", strings.Join(words, " "), number)
	}
	w.count = int(n)
	return w, nil
}

// request makes the wish absolute. What was seen goes with a relative one, so
// that the cluster refuses it when it is no longer so.
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
		return control.ScaleRequest{}, Usagef("scale %s %s: %d - %d is below 0", p.Name, w.text, p.Target, w.count)
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
			return control.PoolStatus{}, Usagef("scale %s: which pool? %s", w.text, dash(strings.Join(own, ", ")))
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
