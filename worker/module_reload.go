package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/norestart/norestart/control"
)

// maxCooling is how many tables that were replaced may still answer requests: more
// reloads wait for an operator to look who holds them.
const maxCooling = 2

// reloadModules takes modules through their hooks in this process: all, or those
// that are named, in the order of registration. Their handlers are replaced in one
// step when all have succeeded; else everything stays as it was.
func (w *Worker) reloadModules(ctx context.Context, names []string) error {
	if !w.modules.busy.TryLock() {
		return &control.Error{Code: control.ErrBusy.Code, Message: "modules of " + w.ID() + " are being loaded, reloaded, or handed over", Hint: "module list"}
	}
	defer w.modules.busy.Unlock()
	all := w.modules.list()
	var chosen []*module
	for _, m := range all {
		if len(names) == 0 || slices.Contains(names, m.name) {
			chosen = append(chosen, m)
		}
	}
	for _, name := range names {
		if w.modules.find(name) == nil {
			return &control.Error{Code: control.ErrUsage.Code, Message: fmt.Sprintf("%s has no module %q", w.ID(), name), Hint: "module list"}
		}
	}
	if n := w.modules.cooling.Load(); n >= maxCooling {
		return &control.Error{Code: control.ErrBusy.Code, Message: fmt.Sprintf("requests of %d earlier versions are still under way in %s", n, w.ID()), Hint: "module list"}
	}
	r := &modulesReload{w: w, all: all, chosen: chosen, begun: time.Now()}
	err := r.run(ctx)
	if err != nil {
		for _, m := range chosen {
			w.modules.note(m, func(i *control.ModuleInfo) { i.Failed = err.Error() })
		}
	}
	return err
}

// modulesReload is one reload of modules in the living process.
type modulesReload struct {
	w           *Worker
	all, chosen []*module
	begun       time.Time
	asked       []*module // those whose BeforeReload was called
	fresh       []*module // with new scopes, in the order of chosen
	held        *table    // whose requests wait; nil: no state moves
}

func (r *modulesReload) run(ctx context.Context) error {
	if slices.ContainsFunc(r.chosen, func(m *module) bool { return m.BeforeReload != nil }) {
		r.held = r.w.modules.hold()
		defer r.w.modules.letGo()
		if err := r.held.quiet(ctx, holdWithin); err != nil {
			return err
		}
	}
	err := r.load(ctx)
	if err == nil {
		err = r.swap()
	}
	if err != nil {
		return errors.Join(err, r.takeBack())
	}
	return nil
}

// load calls the hooks. The modules themselves stay as they are.
func (r *modulesReload) load(ctx context.Context) error {
	for _, m := range r.chosen {
		began, state := time.Now(), (*State)(nil)
		if m.BeforeReload != nil {
			state = &State{}
			r.asked = append(r.asked, m)
			err := m.call(ctx, "BeforeReload", func(ctx context.Context) (err error) {
				*state, err = m.BeforeReload(ctx)
				return err
			})
			if err != nil {
				return err
			}
			state.Version = m.Version
			defer state.close()
		}
		next := r.w.modules.copyOf(m)
		scope, err := next.begin(ctx, state)
		m.hung = next.hung
		if err != nil {
			return err
		}
		next.scope = scope
		if next.info.Reloads++; state != nil {
			next.info.From, next.info.Size = m.Version, state.size()
		}
		next.info.Last, next.info.Failed = time.Since(began), ""
		r.fresh = append(r.fresh, &next)
	}
	return nil
}

func (all *modules) copyOf(m *module) module {
	all.mu.Lock()
	defer all.mu.Unlock()
	return *m
}

// swap puts the new scopes in the place of the old ones.
func (r *modulesReload) swap() error {
	now, retired := slices.Clone(r.all), []*Scope{}
	for i, m := range r.chosen {
		now[slices.Index(r.all, m)] = r.fresh[i]
		retired = append(retired, m.scope)
	}
	pause := time.Since(r.begun)
	if err := r.w.modules.swap(r.w, now, retired...); err != nil {
		return err
	}
	for i, m := range r.chosen {
		m.scope = r.fresh[i].scope
		info := r.fresh[i].info
		if info.Pause = 0; r.held != nil {
			info.Pause = pause
		}
		r.w.modules.note(m, func(i *control.ModuleInfo) { *i = info })
	}
	return nil
}

func (r *modulesReload) takeBack() (err error) {
	for _, m := range r.fresh {
		m.scope.cancel(errRetired)
	}
	for _, m := range r.asked {
		if m.Resume != nil {
			err = errors.Join(err, m.call(context.WithoutCancel(r.w.working), "Resume", m.Resume))
		}
	}
	return err
}

// hold lets requests that begin now wait until letGo.
func (all *modules) hold() *table {
	wait := make(chan struct{})
	all.held.Store(&wait)
	return all.table.Load()
}

func (all *modules) letGo() {
	if wait := all.held.Swap(nil); wait != nil {
		close(*wait)
	}
}

// quiet waits until no request uses the table.
func (t *table) quiet(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for n := t.using.Load() - 1; n > 0; n = t.using.Load() - 1 {
		select {
		case <-t.changed:
		case <-ctx.Done():
			return fmt.Errorf("%d requests are still under way: %w", n, context.Cause(ctx))
		}
	}
	return nil
}
