package shell

import (
	"testing"

	"github.com/norestart/norestart/control"
)

func TestSummary(t *testing.T) {
	web := control.PoolStatus{Name: "web", Target: 4, Ready: 4}
	change := func(by func(*control.PoolStatus)) control.PoolStatus { p := web; by(&p); return p }
	for want, pool := range map[string]control.PoolStatus{
		"well, 4 of 4 workers ready":                       web,
		"NOT WELL, 3 of 4 workers ready":                   change(func(p *control.PoolStatus) { p.Ready = 3 }),
		"NOT WELL, 3 of 4 workers ready, 1 dead":           change(func(p *control.PoolStatus) { p.Ready, p.Dead = 3, 1 }),
		"NOT WELL, 4 of 4 workers ready, 1 silent":         change(func(p *control.PoolStatus) { p.Silent = 1 }),
		"NOT WELL, 3 of 4 workers ready, 1 dead, 2 silent": change(func(p *control.PoolStatus) { p.Ready, p.Dead, p.Silent = 3, 1, 2 }),
		"well, 0 of 0 workers ready":                       change(func(p *control.PoolStatus) { p.BuiltIn, p.Silent = true, 1 }),
	} {
		status := control.Status{Primary: &control.Primary{PID: 1}, Pools: []control.PoolStatus{pool}}
		if got := summary(status); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := summary(control.Status{Pools: []control.PoolStatus{web}}); got != "no primary" {
		t.Errorf("without a primary: %q", got)
	}
}
