package primary

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/difference"
)

// changes is what a reload of pools would change now, or why it would be refused.
func (c caller) changes(ctx context.Context, names []string) ([]control.PoolChanges, error) {
	now, err := c.p.configuration(ctx)
	if err != nil {
		return nil, err
	}
	next, programs := make(map[string]*generation), make(map[string]*control.Program)
	for _, spec := range now.Spec.Pools {
		if len(names) > 0 && !slices.Contains(names, spec.Name) || len(names) == 0 && spec.BuiltIn {
			continue
		}
		g, err := c.p.cfg.generation(spec)
		if err != nil {
			return nil, fmt.Errorf("pool %s: %w", spec.Name, err)
		}
		defer g.close()
		g.made, g.listen = settingsOf(spec.WithDefaults(), now.Settings[spec.Name]), spec.Listen
		next[spec.Name], programs[spec.Name] = g, spec.Program
	}
	return ask(ctx, c.p, func(l *loop) ([]control.PoolChanges, error) {
		pools, err := l.reloadable(names)
		all := []control.PoolChanges{}
		for _, p := range pools {
			g := next[p.spec.Name]
			if g == nil {
				return nil, noLongerThere(p)
			}
			c := control.PoolChanges{Pool: p.spec.Name, Workers: p.target - p.count(control.Done) - p.count(control.Stopped), Changes: p.changes(g)}
			if own := programs[p.spec.Name]; own != nil {
				c.Update, c.Check = own.Update.Command, own.Check.Command
			}
			all = append(all, c)
		}
		return all, err
	})
}

// changes is what the next generation changes.
func (p *pool) changes(next *generation) []control.Change {
	g := p.generation(p.gen)
	if g == nil {
		return []control.Change{}
	}
	all := g.changes(next)
	for _, f := range difference.Fields(g.as(p.spec), next.as(p.spec)) {
		all = append(all, f.Change)
	}
	return append(all, difference.Told(g.told(p), next.told(p))...)
}

// changes are those of the program.
func (g *generation) changes(next *generation) []control.Change {
	all := []control.Change{}
	if !g.sameFile(next) {
		all = append(all, control.Change{Key: "program", From: g.binary.Path(), To: next.binary.Path()})
	}
	return append(all, difference.Program(
		&control.Program{Command: g.argv, Env: Lasting(g.env), Dir: g.dir}, &control.Program{Command: next.argv, Env: Lasting(next.env), Dir: next.dir})...)
}

// as is a pool as workers of the generation have it.
func (g *generation) as(spec control.PoolSpec) control.PoolSpec {
	spec.Listen = g.listen
	if m := g.made; m != nil {
		spec.Share, spec.Orphan, spec.OrphanAfter, spec.Beat = m.Share, m.Orphan, m.OrphanAfter, m.Beat
		spec.Limits, spec.RunAs, spec.NewPrivileges, spec.Umask, spec.Nice = m.Limits, m.RunAs, m.NewPrivileges, m.Umask, m.Nice
		spec.ListenEnv, spec.Nonblock, spec.TTY = m.ListenEnv, m.Nonblock, m.TTY
		if m.Protocol != "" {
			spec.Protocol, spec.ReadyLine, spec.ReadyAfter = m.Protocol, m.ReadyLine, m.ReadyAfter
		}
	}
	return spec
}

// differs tells whether settings are not the same.
func (s *settings) differs(o *settings) bool {
	if s == nil {
		return false
	}
	a, b := &generation{made: s}, &generation{made: o}
	if s.Protocol == "" { // not known
		known := *o
		known.Protocol, b.made = "", &known
	}
	return len(difference.Fields(a.as(control.PoolSpec{}), b.as(control.PoolSpec{}))) > 0 || s.Told != nil && o.Told != nil && !bytes.Equal(s.Told, o.Told)
}
