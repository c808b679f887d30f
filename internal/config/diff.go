package config

import (
	"fmt"
	"strings"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/difference"
)

// Change is one difference between two configurations.
type Change struct {
	Pool string `json:"pool"`
	Key  string `json:"key,omitempty"` // as it is called in the file; empty: the pool itself
	// From and To are values as they are shown; empty: there is none. Those of
	// the environment are masked.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

func (c Change) String() string {
	name := strings.TrimSpace("pool " + c.Pool + " " + c.Key)
	switch {
	case c.From == "" && c.To == difference.Masked:
		return name + " added"
	case c.From == "":
		return name + " added: " + c.To
	case c.To == "":
		return name + " removed"
	case c.From == c.To:
		return name + " changed"
	}
	return fmt.Sprintf("%s %s -> %s", name, c.From, c.To)
}

// Diff tells what differs between two configurations, both from [File.Spec] or
// as a primary has them, in the order of from and then of to.
func Diff(from, to control.Spec) []Change {
	var all []Change
	after := make(map[string]control.PoolSpec)
	for _, p := range to.Pools {
		after[p.Name] = p
	}
	for _, p := range from.Pools {
		next, ok := after[p.Name]
		if delete(after, p.Name); !ok {
			all = append(all, Change{Pool: p.Name, From: difference.Masked})
			continue
		}
		all = append(all, diffPool(p.WithDefaults(), next.WithDefaults())...)
	}
	for _, p := range to.Pools {
		if _, ok := after[p.Name]; ok {
			all = append(all, Change{Pool: p.Name, To: program(p)})
		}
	}
	return all
}

func program(p control.PoolSpec) string {
	if p.Program == nil {
		return "workers of the application"
	}
	return strings.Join(p.Program.Command, " ")
}

func diffPool(from, to control.PoolSpec) (all []Change) {
	if from.Program != nil && to.Program != nil {
		for _, c := range append(difference.Program(from.Program, to.Program), difference.Errands(from.Program, to.Program)...) {
			all = append(all, Change{from.Name, c.Key, c.From, c.To})
		}
	}
	for _, f := range difference.Fields(from, to) {
		all = append(all, Change{from.Name, f.Key, f.From, f.To})
	}
	return all
}
