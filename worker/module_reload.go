package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/norestart/norestart/control"
)

const (
	// maxCooling is how many tables that were replaced may still answer requests:
	// more reloads wait for an operator to look who holds them.
	maxCooling = 2
	// decideWithin is how long after the end of its caller's time a worker waits for
	// the word to switch.
	decideWithin = 5 * time.Second
)

// prepareModules takes modules through their hooks in this process: all, or those
// that are named, in the order of registration. Nothing is replaced before
// switchModules with the same token. If that does not come within the time of ctx
// and a moment more, or if a hook fails, everything goes on as it was.
func (w *Worker) prepareModules(ctx context.Context, token string, names []string) error {
	if !w.modules.busy.TryLock() {
		return w.busyModules()
	}
	r, err := w.chooseModules(token, names)
	if err == nil {
		if err = r.prepare(ctx); err != nil {
			r.noteFailure(err)
		}
	}
	if err != nil {
		w.modules.busy.Unlock()
		return err
	}
	within := decideWithin
	if end, ok := ctx.Deadline(); ok {
		within += time.Until(end)
	}
	w.modules.mu.Lock()
	defer w.modules.mu.Unlock()
	w.modules.prepared = r
	late := time.AfterFunc(within, func() {
		w.abandonModules(token, errors.New("no word came that all workers are prepared"))
	})
	leaving := context.AfterFunc(w.serving, func() { w.abandonModules(token, context.Cause(w.serving)) })
	r.decided = func() { late.Stop(); leaving() }
	return nil
}

func (w *Worker) busyModules() error {
	return &control.Error{Code: control.ErrBusy.Code, Message: "modules of " + w.ID() + " are being loaded, reloaded, or handed over", Hint: "module list"}
}

func (w *Worker) chooseModules(token string, names []string) (*modulesReload, error) {
	r := &modulesReload{w: w, token: token, all: w.modules.list(), begun: time.Now()}
	for _, m := range r.all {
		if !m.internal() && (len(names) == 0 || slices.Contains(names, m.name)) {
			r.chosen = append(r.chosen, m)
		}
	}
	for _, name := range names {
		if m := w.modules.find(name); m == nil || m.internal() {
			return nil, &control.Error{Code: control.ErrUsage.Code, Message: fmt.Sprintf("%s has no module %q", w.ID(), name), Hint: "module list"}
		}
	}
	if n := w.modules.cooling.Load(); n >= maxCooling {
		return nil, &control.Error{Code: control.ErrBusy.Code, Message: fmt.Sprintf("requests of %d earlier versions are still under way in %s", n, w.ID()), Hint: "module list"}
	}
	return r, nil
}

// switchModules puts what was prepared in the place of what serves.
func (w *Worker) switchModules(token string) error {
	r := w.modules.decide(token)
	if r == nil {
		return &control.Error{Code: control.ErrConflict.Code, Message: "nothing is prepared: the process is another one, or its time was over"}
	}
	defer w.modules.busy.Unlock()
	r.change()
	return nil
}

// abandonModules goes on with what serves; why is nil if another worker is the
// reason.
func (w *Worker) abandonModules(token string, why error) {
	r := w.modules.decide(token)
	if r == nil {
		return
	}
	defer w.modules.busy.Unlock()
	if err := errors.Join(why, r.takeBack()); err != nil {
		r.noteFailure(err)
	}
}

// decide returns the reload that is prepared to the one who decides about it, with
// the lock over hooks; nil: there is none with this token.
func (all *modules) decide(token string) *modulesReload {
	all.mu.Lock()
	defer all.mu.Unlock()
	r := all.prepared
	if r == nil || r.token != token {
		return nil
	}
	all.prepared = nil
	r.decided()
	return r
}

// modulesReload is one reload of modules in the living process.
type modulesReload struct {
	w           *Worker
	token       string
	all, chosen []*module
	begun       time.Time
	asked       []*module // those whose BeforeReload was called
	fresh       []*module // with new scopes, in the order of chosen
	table       *table    // with their handlers
	held        bool      // requests wait, because a state moves
	decided     func()    // ends the wait for a decision
}

// prepare does all that may fail. The modules themselves stay as they are.
func (r *modulesReload) prepare(ctx context.Context) error {
	var err error
	if slices.ContainsFunc(r.chosen, func(m *module) bool { return m.BeforeReload != nil }) {
		r.held = true
		err = r.w.modules.hold().quiet(ctx, holdWithin)
	}
	if err == nil {
		err = r.load(ctx)
	}
	if err == nil {
		r.table, err = newTable(r.next())
	}
	if err != nil {
		return errors.Join(err, r.takeBack())
	}
	return nil
}

// load calls the hooks.
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

// next are all modules as they would be.
func (r *modulesReload) next() []*module {
	next := slices.Clone(r.all)
	for i, m := range r.chosen {
		next[slices.Index(r.all, m)] = r.fresh[i]
	}
	return next
}

// change puts the new scopes in the place of the old ones.
func (r *modulesReload) change() {
	var retired []*Scope
	for _, m := range r.chosen {
		retired = append(retired, m.scope)
	}
	pause := time.Since(r.begun)
	r.w.modules.replace(r.w, r.table, retired...)
	for i, m := range r.chosen {
		m.scope = r.fresh[i].scope
		info := r.fresh[i].info
		if info.Pause = 0; r.held {
			info.Pause = pause
		}
		r.w.modules.note(m, func(i *control.ModuleInfo) { *i = info })
	}
	r.w.modules.letGo()
}

// takeBack goes on with what serves.
func (r *modulesReload) takeBack() (err error) {
	defer r.w.modules.letGo()
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

func (r *modulesReload) noteFailure(err error) {
	for _, m := range r.chosen {
		r.w.modules.note(m, func(i *control.ModuleInfo) { i.Failed = err.Error(); i.Failures++ })
	}
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

// moduleHandlers are those of a reload of modules in all workers, which a command
// leads: each prepares, and only if all have, each switches. The first argument is
// the token of the reload.
func (w *Worker) moduleHandlers(name string) Handler {
	answer := func(do func(ctx context.Context, token string, names []string) error) Handler {
		return func(ctx context.Context, args []string) ([]byte, error) {
			if len(args) == 0 {
				return nil, fmt.Errorf("%w: %s: no token", control.ErrUsage, name)
			}
			if err := do(ctx, args[0], args[1:]); err != nil {
				return nil, err
			}
			return json.Marshal(w.modules.infos())
		}
	}
	switch name {
	case control.HandlerModulePrepare:
		return answer(w.prepareModules)
	case control.HandlerModuleSwitch:
		return answer(func(_ context.Context, token string, _ []string) error { return w.switchModules(token) })
	case control.HandlerModuleAbandon:
		return answer(func(_ context.Context, token string, _ []string) error { w.abandonModules(token, nil); return nil })
	}
	return nil
}
