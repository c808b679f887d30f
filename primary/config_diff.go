package primary

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/difference"
	"github.com/norestart/norestart/internal/inherit"
)

// proposal is a configuration with what its pools would execute, made beside the
// loop.
type proposal struct {
	Configuration
	app  []byte                 // instead of all else: the application's own
	next map[string]*generation // by pool; the ones that nobody took are closed
}

func (p *proposal) close() {
	for _, g := range p.next {
		g.close()
	}
}

// handOver gives the generations to another owner, who closes them.
func (p *proposal) handOver() *proposal {
	given := *p
	p.next = nil
	return &given
}

// take is the next generation of a pool.
func (p *proposal) take(pool string) *generation {
	g := p.next[pool]
	delete(p.next, pool)
	return g
}

// propose reads the configuration.
func (p *Primary) propose(ctx context.Context) (*proposal, error) {
	if app, err := p.app.now(ctx); app != nil || err != nil {
		if err != nil {
			return nil, err
		}
		return &proposal{app: *app}, nil
	}
	now, err := p.file.now(ctx)
	if err == nil && now == nil {
		err = &control.Error{Code: control.ErrUsage.Code, Message: "this cluster has no file of its configuration: it is in its program (App.ConfigFile names one for the application)", Hint: "restart"}
	}
	if err != nil {
		return nil, err
	}
	prop := &proposal{Configuration: *now, next: make(map[string]*generation)}
	for i := range prop.Spec.Pools {
		spec := prop.Spec.Pools[i].WithDefaults()
		g, err := p.cfg.generation(spec)
		if err != nil {
			prop.close()
			return nil, fmt.Errorf("pool %s: %w; nothing was changed", spec.Name, err)
		}
		g.made, g.listen = settingsOf(spec, now.Settings[spec.Name]), spec.Listen
		prop.Spec.Pools[i], prop.next[spec.Name] = spec, g
	}
	return prop, nil
}

// configChanges is what a reload of the configuration would do.
func (c caller) configChanges(ctx context.Context) ([]control.PoolChanges, error) {
	prop, err := c.p.propose(ctx)
	if err != nil {
		return nil, err
	}
	return ask(ctx, c.p, func(l *loop) ([]control.PoolChanges, error) {
		defer prop.close()
		if prop.app != nil {
			return l.appChanges(prop.app), nil
		}
		return l.diff(prop), l.clash(prop.Spec)
	})
}

// diff compares what runs with a proposal.
func (l *loop) diff(prop *proposal) []control.PoolChanges {
	all := []control.PoolChanges{}
	if from, to := l.cfg.Spec.Name, prop.Spec.Name; from != to {
		all = append(all, control.PoolChanges{Follows: control.FollowsStop, Changes: []control.Change{{Key: "name", From: from, To: to, Follows: control.FollowsStop}}})
	}
	for _, p := range l.pools {
		now := prop.pool(p.spec.Name)
		if now == nil {
			all = append(all, control.PoolChanges{Pool: p.spec.Name, Follows: follows(control.FollowsEnd, p.spec), Workers: p.target, Changes: []control.Change{}})
		} else if c := p.configChanges(*now, prop.next[p.spec.Name]); len(c.Changes) > 0 {
			all = append(all, c)
		}
	}
	for _, spec := range prop.Spec.Pools {
		if _, err := l.pool(spec.Name); err != nil {
			c := control.PoolChanges{Pool: spec.Name, Follows: follows(control.FollowsBegin, spec), Workers: workersOf(spec), Changes: []control.Change{}}
			if spec.Program != nil {
				c.Changes = append(c.Changes, control.Change{Key: "command", To: difference.List(spec.Program.Command), Follows: c.Follows})
			}
			all = append(all, c)
		}
	}
	return all
}

// follows is what follows from the beginning or the end of a pool: one that is
// built in needs what only another image of the primary opens.
func follows(f control.Follows, spec control.PoolSpec) control.Follows {
	if spec.BuiltIn {
		return control.FollowsRestart
	}
	return f
}

func (p *pool) configChanges(now control.PoolSpec, next *generation) control.PoolChanges {
	c := control.PoolChanges{Pool: p.spec.Name, Workers: p.target - p.count(control.Done) - p.count(control.Stopped)}
	g := p.generation(p.gen)
	if g == nil || next == nil {
		return c
	}
	add := func(of control.Change, f control.Follows) {
		of.Follows = f
		c.Changes, c.Follows = append(c.Changes, of), heavier(c.Follows, f)
	}
	if p.spec.Program != nil { // what the built-in workers execute is no matter of the file
		for _, of := range g.changes(next) {
			add(of, control.FollowsReload)
		}
		for _, of := range difference.Errands(p.spec.Program, now.Program) {
			add(of, control.FollowsLive)
		}
	}
	from := g.as(p.spec)
	if p.target != p.configured && p.target != workersOf(now) {
		from.Workers = p.target
	}
	for _, f := range difference.Fields(from, next.as(now)) {
		add(f.Change, fieldFollows(f.Name, p.spec.BuiltIn))
	}
	for _, of := range difference.Told(g.told(p), next.told(p)) {
		add(of, control.FollowsReload)
	}
	return c
}

// fieldFollows is what follows from another value of a field of [control.PoolSpec].
func fieldFollows(field string, builtIn bool) control.Follows {
	switch field {
	case "Listen", "Limits", "NewPrivileges", "Umask", "Nice", "Orphan", "OrphanAfter", "Beat", "Protocol", "ReadyLine", "ReadyAfter", "ReadyProbe", "ListenEnv", "Nonblock", "TTY":
		return control.FollowsReload
	case "RunAs":
		if builtIn { // its files are made at a start
			return control.FollowsStop
		}
		return control.FollowsReload
	case "Share", "Grant", "MaxOutgoing", "BuiltIn":
		return control.FollowsStop
	}
	return control.FollowsLive
}

// weights order what follows.
var weights = []control.Follows{"", control.FollowsLive, control.FollowsReload, control.FollowsRestart, control.FollowsStop}

func heavier(a, b control.Follows) control.Follows {
	return weights[max(slices.Index(weights, a), slices.Index(weights, b))]
}

// refused names the keys that a reload of the configuration cannot take in.
func refused(all []control.PoolChanges) error {
	var keys []string
	need := control.FollowsReload
	for _, c := range all {
		if c.Follows != control.FollowsRestart && c.Follows != control.FollowsStop {
			continue
		}
		need = heavier(need, c.Follows)
		if len(c.Changes) == 0 {
			keys = append(keys, c.Pool)
		}
		for _, of := range c.Changes {
			if of.Follows == control.FollowsRestart || of.Follows == control.FollowsStop {
				keys = append(keys, strings.TrimPrefix(c.Pool+"."+of.Key, "."))
			}
		}
	}
	switch need {
	case control.FollowsRestart:
		return &control.Error{Code: control.ErrConflict.Code, Message: fmt.Sprintf("%s: it takes a restart; nothing was changed", strings.Join(keys, ", ")), Hint: "restart"}
	case control.FollowsStop:
		return &control.Error{Code: control.ErrConflict.Code, Message: fmt.Sprintf("%s: it takes a stop and a start; nothing was changed", strings.Join(keys, ", ")), Hint: "stop, then norestart up"}
	}
	return nil
}

// clash finds an address that a pool would have which another one still has: the
// next image of the primary could not open it either.
func (l *loop) clash(now control.Spec) error {
	for _, spec := range now.Pools {
		for _, addr := range spec.Listen {
			want, err := inherit.Parse(addr)
			if err != nil || want.Path == "" && want.TCP.Port() == 0 {
				continue
			}
			for _, p := range l.pools {
				for _, o := range p.open {
					has, err := inherit.Parse(o.addr)
					if p.spec.Name != spec.Name && err == nil && has.Path == want.Path && has.TCP == want.TCP {
						return &control.Error{
							Code:    control.ErrConflict.Code,
							Message: fmt.Sprintf("pool %s would listen on %s, which pool %s has until this is done: keep its name, or take two steps", spec.Name, addr, p.spec.Name),
						}
					}
				}
			}
		}
	}
	return nil
}

// workersOf is the target of a pool as configured.
func workersOf(spec control.PoolSpec) int {
	if spec.Workers == control.Auto {
		return autoWorkers()
	}
	return spec.Workers
}
