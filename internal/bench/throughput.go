package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"

	"github.com/norestart/norestart/internal/harness"
)

// measureThroughput lets a cluster of four workers and a bare process answer
// as fast as they can, in turns.
func measureThroughput(ctx context.Context, b *bench) (table, error) {
	var t table
	c, err := b.cluster(ctx, 4)
	if err != nil {
		return t, err
	}
	one, err := b.bare()
	if err != nil {
		return t, errors.Join(err, c.Stop())
	}
	return t, errors.Join(throughputs(ctx, b, &t, c.web, one.addr), one.Stop(), c.Stop())
}

func (b *bench) ratePair(ctx context.Context, rate rateFunc, one, other string, keep bool) (pair, error) {
	return pairs(ctx, b.turns(),
		func() (float64, error) { return rate(ctx, one, keep) },
		func() (float64, error) { return rate(ctx, other, keep) })
}

// rateFunc measures the requests per second of the server at addr.
type rateFunc func(ctx context.Context, addr string, keep bool) (float64, error)

type generator struct {
	name string
	rate rateFunc
}

func throughputs(ctx context.Context, b *bench, t *table, cluster, bare string) error {
	generators := []generator{{"own clients", b.ownLoad}}
	if _, err := exec.LookPath("wrk"); err == nil {
		generators = append(generators, generator{"wrk", b.wrk})
	} else {
		t.note("wrk is not installed: no second generator")
	}
	for _, keep := range []bool{true, false} {
		target := 0.98
		if keep {
			target = 1.1
		}
		for _, g := range generators {
			p, err := b.ratePair(ctx, g.rate, cluster, bare, keep)
			if err != nil {
				return err
			}
			t.add(fmt.Sprintf("%s, %s", kind(keep), g.name), fmt.Sprintf("≥ %.2f ×", target), p.String(), judge(p.ratio() >= target))
			t.note("%s, %s: requests/s of the cluster %s; of the bare process %s", kind(keep), g.name, turnsText(p.a, whole), turnsText(p.b, whole))
		}
	}
	return nil
}

func (b *bench) ownLoad(ctx context.Context, addr string, keep bool) (float64, error) {
	l := startLoad(ctx, addr, keep, 0)
	err := harness.Pause(ctx, b.window())
	o := l.stop()
	if o.Failed > 0 {
		return 0, fmt.Errorf("%d of %d requests failed: %q", o.Failed, o.Requests, o.Causes)
	}
	return float64(o.Requests) / b.window().Seconds(), err
}

// wrk is that of wrk, https://github.com/wg/wrk.
func (b *bench) wrk(ctx context.Context, addr string, keep bool) (float64, error) {
	args := []string{"-t2", "-c" + strconv.Itoa(clients), fmt.Sprintf("-d%ds", b.less(2, 1))}
	if !keep {
		args = append(args, "-H", "Connection: close")
	}
	out, err := harness.Output(ctx, "wrk", append(args, "http://"+addr+"/")...)
	if err != nil {
		return 0, err
	}
	return wrkRate(out)
}

var (
	wrkRequests = regexp.MustCompile(`(?m)^Requests/sec:\s+([0-9.]+)$`)
	wrkErrors   = regexp.MustCompile(`(?m)^\s*(Socket errors:|Non-2xx).*$`)
)

// wrkRate reads the requests per second from what wrk prints. Requests that
// failed make it an error.
func wrkRate(text string) (float64, error) {
	if bad := wrkErrors.FindString(text); bad != "" {
		return 0, fmt.Errorf("wrk: %s", bad)
	}
	m := wrkRequests.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("wrk printed no rate: %q", text)
	}
	return strconv.ParseFloat(m[1], 64)
}
