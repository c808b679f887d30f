package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/semver"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

// modules are those of one worker, in the order of their registration.
type modules struct {
	busy    sync.Mutex // held over hooks: one reload at a time
	mu      sync.Mutex // a leaf
	all     []*module
	loaded  bool
	loading sync.Once
	failed  error
	table   atomic.Pointer[table]
	held    atomic.Pointer[chan struct{}] // new requests wait until it is closed; nil: they do not
	cooling atomic.Int64                  // tables that have been replaced and still answer requests

	prepared *modulesReload // guarded by mu: waits for the word to switch; nil: there is none

	waiting atomic.Bool    // for the state of the predecessor
	comes   chan *ipc.Conn // size 1: a conversation with it; nil: there is none
	behind  *inheritance   // what came from the predecessor; nil: nothing
	ahead   yielding
}

func (all *modules) list() []*module {
	all.mu.Lock()
	defer all.mu.Unlock()
	return slices.Clone(all.all)
}

func (all *modules) find(name string) *module {
	for _, m := range all.list() {
		if m.name == name {
			return m
		}
	}
	return nil
}

// Register adds a module to the worker. Its name must not begin with "norestart.".
// Before [Worker.Load] it only notes it; its hooks are called then, or at once if the
// others have begun already: by Init, because the state that came from a predecessor
// has been given out.
func (w *Worker) Register(name string, m Module) error {
	switch {
	case name == "":
		return errors.New("register a module: it needs a name")
	case strings.HasPrefix(name, control.HandlerPrefix):
		return fmt.Errorf("register module %s: names that begin with %s are norestart's own", name, control.HandlerPrefix)
	case !semver.IsValid(m.Version):
		return fmt.Errorf("register module %s: version %q: must be like v1.2.0", name, m.Version)
	}
	return w.register(name, m)
}

func (w *Worker) register(name string, m Module) error {
	w.modules.busy.Lock()
	defer w.modules.busy.Unlock()
	if w.modules.find(name) != nil {
		return fmt.Errorf("register module %s: it is registered already", name)
	}
	one := &module{Module: m, name: name, worker: w.ID(), info: control.ModuleInfo{Name: name, Version: m.Version}}
	if w.modules.loaded {
		err := checkAll(w.working, []*module{one}, w.Config())
		if err == nil {
			one.scope, err = one.begin(w.working, nil)
		}
		if err == nil {
			err = w.modules.swap(w, append(w.modules.list(), one))
		}
		if err != nil {
			return errors.Join(err, one.end(w.working))
		}
	}
	w.modules.mu.Lock()
	defer w.modules.mu.Unlock()
	w.modules.all = append(w.modules.all, one)
	return nil
}

// Unregister ends a module by its Finalize. Requests that it has begun to answer
// are answered; new ones find its handlers no more.
func (w *Worker) Unregister(name string) error {
	w.modules.busy.Lock()
	defer w.modules.busy.Unlock()
	one := w.modules.find(name)
	if one == nil || one.internal() {
		return fmt.Errorf("unregister module %s: it is not registered", name)
	}
	left := slices.DeleteFunc(w.modules.list(), func(m *module) bool { return m == one })
	if w.modules.loaded {
		if err := w.modules.swap(w, left); err != nil {
			return err
		}
	}
	w.modules.mu.Lock()
	w.modules.all = left
	w.modules.mu.Unlock()
	return one.end(w.working)
}

// Load gets the state of the predecessor, if there is one, and begins all modules
// that are registered. [Worker.ServeHTTP] and the like do it before they serve; a
// worker that serves by itself calls it before Ready. Only the first call counts.
func (w *Worker) Load() error {
	w.modules.loading.Do(func() {
		w.modules.busy.Lock()
		defer w.modules.busy.Unlock()
		w.modules.failed = w.load()
	})
	return w.modules.failed
}

func (w *Worker) load() error {
	all := w.modules.list()
	w.modules.loaded = true
	if len(all) == 0 {
		return w.modules.swap(w, nil)
	}
	in, err := w.inherit()
	if err != nil {
		return err
	}
	if err := w.beginAll(all, in); err != nil {
		in.refuse(err)
		return err
	}
	if err := in.take(all); err != nil {
		return err
	}
	w.modules.mu.Lock()
	w.modules.behind = in
	w.modules.mu.Unlock()
	if w.serving.Err() != nil { // asked to end meanwhile
		w.modules.giveBack()
	}
	return nil
}

// giveBack is for a worker that is asked to end before its predecessor: that one
// goes on at once, with the state as it was, and gets the connections.
func (all *modules) giveBack() {
	all.mu.Lock()
	in := all.behind
	all.mu.Unlock()
	if in != nil {
		in.giveBack()
	}
}

// serve asks the predecessor for its connections: this worker serves.
func (all *modules) serve(w *Worker) {
	in := all.behind
	if in == nil {
		return
	}
	all.mu.Lock()
	for _, m := range all.all {
		m.info.Pause = time.Since(in.held)
	}
	all.mu.Unlock()
	if in.conn.Send(ipc.SendTimeout, ipc.TypeReady, nil) == nil {
		w.wg.Go(func() { w.connections.TakeOver(in.conn) })
	}
}

// beginAll begins each with the state that came for it.
func (w *Worker) beginAll(all []*module, in *inheritance) error {
	if err := checkAll(w.serving, all, w.Config()); err != nil {
		return err
	}
	for _, m := range all {
		began, state := time.Now(), in.state(m.name)
		var err error
		if m.scope, err = m.begin(w.serving, state); err != nil {
			return err // the process ends; the predecessor has what Finalize would clear away
		}
		if state == nil {
			continue
		}
		m.began = len(state.Data)
		w.modules.began(m, control.ModuleInfo{
			Name: m.name, Version: m.Version, From: state.Version, Reloads: in.reloads(m.name) + 1, Size: state.size(), Last: time.Since(began),
		})
		state.close()
	}
	return w.modules.swap(w, all)
}

// endAll ends modules in the reverse order.
func (w *Worker) endAll(all []*module) (err error) {
	for _, m := range slices.Backward(all) {
		err = errors.Join(err, m.end(context.WithoutCancel(w.working)))
	}
	return err
}

// finalize ends the modules whose state has not gone to a successor.
// Nothing is done for those of a successor whose predecessor goes on.
// If they could not begin, that is why the worker ends.
func (w *Worker) finalize(ended error) error {
	w.modules.busy.Lock()
	defer w.modules.busy.Unlock()
	switch failed := w.modules.failed; {
	case !w.modules.loaded, failed != nil && errors.Is(ended, failed):
		return nil
	case failed != nil:
		return failed
	case w.modules.behind != nil && w.modules.behind.lent:
		return nil // the predecessor has what it would clear away
	}
	all := slices.DeleteFunc(w.modules.list(), func(m *module) bool { return w.modules.ahead.has(m.name) })
	return w.endAll(all)
}
