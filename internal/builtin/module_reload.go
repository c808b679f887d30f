package builtin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

// moduleRound is a reload of modules in the workers of all pools: each prepares,
// and only if all have, each switches. Workers that hear no more of it go on as they
// were.
type moduleRound struct {
	*Call
	pools    []poolModules
	token    string
	prepared []workerModules
}

// decideTimeout is how long a worker may take to switch, or to go back: at most its
// hooks Resume.
const decideTimeout = 10 * time.Second

func moduleReload(ctx context.Context, call *Call) error {
	names := call.Args[1:]
	timeout, err := call.duration("timeout")
	if err != nil {
		return err
	}
	all, err := call.modules(ctx)
	if err != nil {
		return err
	}
	pools, err := poolsWith(all, names)
	if err != nil {
		return err
	}
	r := &moduleRound{Call: call, pools: pools, token: rand.Text()}
	err = r.prepare(ctx, timeout)
	decided := context.WithoutCancel(ctx) // it ends by decideTimeout
	if err != nil {
		_, _, _ = r.tell(decided, control.HandlerModuleAbandon) // who does not hear it goes back by itself
		return err
	}
	done, err := r.change(decided)
	if err != nil {
		return err
	}
	return call.showModules(done)
}

// prepare lets all workers call their hooks.
func (r *moduleRound) prepare(ctx context.Context, timeout time.Duration) error {
	end := time.Now().Add(timeout)
	var failed []string
	for _, p := range r.pools {
		some, lines, err := r.askModules(ctx, control.CallRequest{
			Pool: p.name, Handler: control.HandlerModulePrepare, Args: append([]string{r.token}, p.modules...),
			Timeout: max(time.Until(end).Round(time.Millisecond), time.Millisecond),
		})
		if err != nil {
			return err
		}
		if r.prepared, failed = append(r.prepared, some...), append(failed, lines...); len(failed) > 0 {
			break
		}
	}
	if len(failed) == 0 {
		return ctx.Err()
	}
	return &control.Error{
		Code: control.ErrConflict.Code, Message: fmt.Sprintf("modules of %d of %d workers cannot be reloaded; nothing was changed", len(failed), len(failed)+len(r.prepared)),
		Lines: failed, Hint: "module list",
	}
}

// change lets those that are prepared switch. One that has become ready since then
// has begun afresh, and is not among them.
func (r *moduleRound) change(ctx context.Context) ([]workerModules, error) {
	done, failed, err := r.tell(ctx, control.HandlerModuleSwitch)
	var stay []string
	for _, w := range r.prepared {
		if slices.ContainsFunc(done, func(o workerModules) bool { return o.worker == w.worker }) {
			continue
		}
		line := w.worker + ": it has ended"
		if i := slices.IndexFunc(failed, func(l string) bool { return strings.HasPrefix(l, w.worker+": ") }); i >= 0 {
			line = failed[i]
		} else if err != nil {
			line = fmt.Sprintf("%s: %v", w.worker, err)
		}
		stay = append(stay, line)
	}
	if len(stay) == 0 {
		return done, nil
	}
	return nil, &control.Error{
		Code: "partial", Message: fmt.Sprintf("all workers were prepared, but %d of %d have not switched", len(stay), len(r.prepared)),
		Lines: stay, Hint: "module list",
	}
}

// tell says to all workers what was decided.
func (r *moduleRound) tell(ctx context.Context, handler string) (done []workerModules, failed []string, err error) {
	for _, p := range r.pools {
		some, lines, e := r.askModules(ctx, control.CallRequest{Pool: p.name, Handler: handler, Args: []string{r.token}, Timeout: decideTimeout})
		done, failed, err = append(done, some...), append(failed, lines...), errors.Join(err, e)
	}
	return done, failed, err
}

// poolModules are the modules of a pool that are to be reloaded.
type poolModules struct {
	name    string
	modules []string
}

func poolsWith(all []workerModules, names []string) (pools []poolModules, err error) {
	var known []string
	for _, w := range all {
		for _, m := range w.modules {
			known = append(known, m.Name)
			if len(names) > 0 && !slices.Contains(names, m.Name) {
				continue
			}
			if n := len(pools); n == 0 || pools[n-1].name != w.pool {
				pools = append(pools, poolModules{name: w.pool})
			}
			if p := &pools[len(pools)-1]; !slices.Contains(p.modules, m.Name) {
				p.modules = append(p.modules, m.Name)
			}
		}
	}
	slices.Sort(known)
	known = slices.Compact(known)
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, commands.Usagef("module reload: no module %q%s", name, oneOf(known))
		}
	}
	if len(pools) == 0 {
		return nil, &control.Error{Code: "no_module", Message: "no worker has modules"}
	}
	return pools, nil
}

func oneOf(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "; one of " + strings.Join(names, ", ")
}
