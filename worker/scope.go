package worker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
)

// Scope owns what one version of a module has registered. Its handlers are called
// through [Worker.Router], by questions and by messages to the worker, which find them
// by name: nothing outside keeps a handler of a version that has been replaced.
type Scope struct {
	Module, Version string

	ctx    context.Context
	cancel context.CancelCauseFunc
	mu     sync.Mutex // a leaf
	sealed bool
	routes []route
	calls  map[string]Handler

	messages MessageHandler
}

type route struct {
	pattern string
	handler http.Handler
}

var (
	errRetired = errors.New("another version of the module has taken its place")
	errSealed  = errors.New("worker: a handler is registered within Init or AfterReload, not later")
)

func newScope(name, version string) *Scope {
	s := &Scope{Module: name, Version: version, calls: make(map[string]Handler)}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s
}

// Context ends when another version of the module serves and the last request to
// this one has been answered, or when the module has failed to begin.
func (s *Scope) Context() context.Context { return s.ctx }

// Handle registers a handler for a pattern of [http.ServeMux] at [Worker.Router].
// Like all of Scope it is for Init and AfterReload, and panics later.
func (s *Scope) Handle(pattern string, h http.Handler) {
	s.register(func() { s.routes = append(s.routes, route{pattern, h}) })
}

// HandleCall registers the handler of a question to the worker, see
// [Worker.Handle].
func (s *Scope) HandleCall(name string, h Handler) { s.register(func() { s.calls[name] = h }) }

func (s *Scope) register(add func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sealed {
		panic(errSealed)
	}
	add()
}

func (s *Scope) seal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = true
}

// table is all handlers of all modules. It is never changed: a reload puts another
// one in its place. A request keeps the one with which it began.
type table struct {
	mux      *http.ServeMux
	calls    map[string]Handler
	messages MessageHandler
	using    atomic.Int64  // requests; one more until the table is replaced
	unused   chan struct{} // closed when the table is replaced and the last request has ended
	changed  chan struct{} // size 1: a request has ended
}

func newTable(all []*module) (t *table, err error) {
	t = &table{mux: http.NewServeMux(), calls: make(map[string]Handler), unused: make(chan struct{}), changed: make(chan struct{}, 1)}
	t.using.Store(1)
	name := ""
	defer func() {
		if r := recover(); r != nil { // of ServeMux, about the pattern
			err = fmt.Errorf("module %s: %v", name, r)
		}
	}()
	for _, m := range all {
		if name = m.name; m.scope == nil {
			continue
		}
		for _, r := range m.scope.routes {
			t.mux.Handle(r.pattern, r.handler)
		}
		for call, h := range m.scope.calls {
			if t.calls[call] != nil {
				return nil, fmt.Errorf("module %s: another module has a handler %s, too", name, call)
			}
			t.calls[call] = h
		}
		if h := m.scope.messages; h != nil {
			if t.messages != nil {
				return nil, fmt.Errorf("module %s: another module handles messages, too", name)
			}
			t.messages = h
		}
	}
	return t, nil
}

func (t *table) release() {
	if t.using.Add(-1) == 0 {
		close(t.unused)
		return
	}
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// swap makes the handlers of modules those of the worker, in one step.
func (all *modules) swap(w *Worker, now []*module) error {
	t, err := newTable(now)
	if err == nil {
		all.replace(w, t)
	}
	return err
}

// replace puts a table in the place of the one that answers requests. The scopes
// that retire with that one last as long as its requests.
func (all *modules) replace(w *Worker, t *table, retired ...*Scope) {
	old := all.table.Swap(t)
	if t.messages != nil {
		w.mail.serving.Do(func() { w.wg.Go(w.handleMessages) })
	}
	if old == nil {
		return
	}
	all.cooling.Add(1)
	cool := func() {
		<-old.unused
		all.cooling.Add(-1)
		for _, s := range retired {
			s.cancel(errRetired)
		}
	}
	old.release()
	select {
	case <-old.unused:
		cool() // now, so that nobody is told of it
	default:
		w.wg.Go(cool)
	}
}

// pin is the present table, which stays as it is until it is released; nil: no
// module is loaded. It waits while the state of modules moves.
func (all *modules) pin(ctx context.Context) (*table, error) {
	for {
		t := all.table.Load()
		if t != nil && !t.acquire() {
			continue // it has just been replaced
		}
		wait := all.held.Load()
		if t == nil || wait == nil {
			return t, nil
		}
		t.release()
		select {
		case <-*wait:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// acquire counts a request; false if the table has been replaced and is unused.
func (t *table) acquire() bool {
	for n := t.using.Load(); n > 0; n = t.using.Load() {
		if t.using.CompareAndSwap(n, n+1) {
			return true
		}
	}
	return false
}

type tableKey struct{}

// Router passes requests to the handlers of the modules, by their patterns. A
// request that began before a reload of modules sees their old versions to its
// end, also if it passes here again, and one that began later only the new ones.
func (w *Worker) Router() http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if t, _ := r.Context().Value(tableKey{}).(*table); t != nil {
			t.mux.ServeHTTP(rw, r)
			return
		}
		t, err := w.modules.pin(r.Context())
		if err != nil {
			return // the client has gone
		}
		if t == nil {
			http.NotFound(rw, r)
			return
		}
		defer t.release()
		t.mux.ServeHTTP(rw, r.WithContext(context.WithValue(r.Context(), tableKey{}, t)))
	})
}
