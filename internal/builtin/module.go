package builtin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

func moduleCommands() []commands.Command {
	return []commands.Command{
		{
			Name: "module list", Role: commands.Viewer, Group: groupLook, Flags: watchFlags, Run: watched(0, 0, moduleList),
			Summary: "the modules of workers: versions, reloads, states",
			Help: "A line for each pool, or for each worker where they differ. PAUSE is how long requests\n" +
				"waited in the last reload, LAST how long the module took to read its state, STATE its\n" +
				"size (of all workers in the line, the longest time of them).",
		},
		{
			Name: "module reload", Role: commands.Operator, Group: groupChange, Flags: moduleFlags, Run: run(0, -1, moduleReload), Complete: others(anyModule),
			Usage: "[NAME…]", Summary: "take modules through their hooks in the living workers",
			Help: "All of them, or those that are named, in every ready worker: all of these workers switch\n" +
				"to the new handlers, or none does. First each calls the hooks; when all hooks of all\n" +
				"workers have succeeded, each replaces its handlers in one step. Requests to a worker\n" +
				"whose modules hand over a state wait from its first hook to that step. For new code use\n" +
				"reload.",
		},
	}
}

func moduleFlags(flags *pflag.FlagSet) {
	flags.Duration("timeout", 20*time.Second, "`time` for the hooks of all workers")
}

// moduleView is a module of one worker in JSON.
type moduleView struct {
	Worker string `json:"worker"`
	control.ModuleInfo
	Last  float64 `json:"last"`
	Pause float64 `json:"pause"`
}

// workerModules is what one worker answers.
type workerModules struct {
	worker, pool string
	modules      []control.ModuleInfo
}

func moduleList(ctx context.Context, call *Call) error {
	all, err := call.modules(ctx)
	if err != nil {
		return err
	}
	return call.showModules(all)
}

func (c *Call) showModules(all []workerModules) error {
	if c.JSON {
		views := []moduleView{}
		for _, w := range all {
			for _, m := range w.modules {
				views = append(views, moduleView{w.worker, m, m.Last.Seconds(), m.Pause.Seconds()})
			}
		}
		return c.WriteJSON(map[string]any{"modules": views})
	}
	rows, notes := moduleRows(all)
	if len(rows) == 0 {
		return c.write("no worker has modules\n")
	}
	if err := c.Table([]string{"MODULE", "WORKERS", "VERSION", "RELOADS", "PAUSE", "LAST", "STATE"}, rows...); err != nil {
		return err
	}
	return c.write(notes)
}

// moduleRows joins the workers of a pool that are alike.
func moduleRows(all []workerModules) (rows [][]string, notes string) {
	type key struct{ pool, name, worker string }
	same, lines := make(map[[2]string]control.ModuleInfo), make(map[key]*control.ModuleInfo)
	differ := make(map[[2]string]bool)
	for _, w := range all {
		for _, m := range w.modules {
			pn := [2]string{w.pool, m.Name}
			first, seen := same[pn]
			if same[pn] = m; seen && (first.Version != m.Version || first.Reloads != m.Reloads || first.From != m.From) {
				differ[pn] = true
			}
		}
	}
	var order []key
	for _, w := range all {
		for _, m := range w.modules {
			k := key{w.pool, m.Name, w.pool + "/*"}
			if differ[[2]string{w.pool, m.Name}] {
				k.worker = w.worker
			}
			if line := lines[k]; line != nil {
				line.Size, line.Last, line.Pause = line.Size+m.Size, max(line.Last, m.Last), max(line.Pause, m.Pause)
			} else {
				lines[k], order = &m, append(order, k)
			}
			if m.Failed != "" {
				notes += fmt.Sprintf("%s: its last reload was taken back: %s\n", w.worker, commands.Safe(m.Failed))
			}
			if m.Cooling > 0 {
				notes += fmt.Sprintf("%s: requests of %d earlier versions are still under way\n", w.worker, m.Cooling)
			}
		}
	}
	for _, k := range order {
		m := lines[k]
		rows = append(rows, []string{m.Name, k.worker, m.Version, strconv.Itoa(m.Reloads), spent(m.Pause), spent(m.Last), size(m.Size)})
	}
	return rows, notes
}

func spent(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return took(d)
}

// modules asks every ready worker of the application's pools. Workers of other
// programs have none, and those of an older library do not know the question.
func (c *Call) modules(ctx context.Context) ([]workerModules, error) {
	s, err := c.status(ctx)
	if err != nil {
		return nil, err
	}
	var all []workerModules
	for _, p := range s.Pools {
		if p.BuiltIn {
			continue
		}
		some, _, err := c.askModules(ctx, control.CallRequest{Pool: p.Name, Handler: control.HandlerModules})
		if err != nil && !errors.Is(err, control.ErrUnavailable) {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// askModules returns the answers of a pool, and a line for each that failed.
func (c *Call) askModules(ctx context.Context, r control.CallRequest) (all []workerModules, failed []string, err error) {
	err = c.ask(ctx, r, func(reply control.CallReply) error {
		w := workerModules{worker: reply.Worker, pool: r.Pool}
		if reply.Error == "" {
			if err := json.Unmarshal(reply.Data, &w.modules); err != nil {
				reply.Error = err.Error()
			}
		}
		if reply.Error != "" {
			failed = append(failed, reply.Worker+": "+reply.Error)
			return nil
		}
		all = append(all, w)
		return nil
	})
	slices.SortFunc(all, func(a, b workerModules) int { return cmp.Compare(a.worker, b.worker) })
	slices.Sort(failed)
	return all, failed, err
}
