package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

// loaded is a worker without a process, whose modules have begun.
func loaded(t *testing.T, all map[string]Module, order ...string) *Worker {
	t.Helper()
	w, err := newWorker(ipc.Boot{Pool: "web"})
	must(t, err)
	for _, name := range order {
		must(t, w.Register(name, all[name]))
	}
	must(t, w.Load())
	t.Cleanup(w.leave)
	return w
}

// reloadModules is what all workers do, in one.
func (w *Worker) reloadModules(ctx context.Context, names []string) error {
	if err := w.prepareModules(ctx, "token", names); err != nil {
		return err
	}
	return w.switchModules("token")
}

func get(w *Worker, path string) string {
	rec := httptest.NewRecorder()
	w.Router().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
	return rec.Body.String()
}

// numbered is a module that answers with the number of its version in this
// process; then with what another module answers, if there is one.
func numbered(w **Worker, path, other string) Module {
	n := 0
	return Module{Version: "v1.0.0", Init: func(_ context.Context, s *Scope) error {
		n++
		mine := n
		s.Handle(path, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(rw, "%d ", mine)
			if other != "" {
				again := r.Clone(r.Context())
				again.URL.Path = other
				(*w).Router().ServeHTTP(rw, again)
			}
		}))
		return nil
	}}
}

// TestModulesAreSwappedAtOnce: no request sees one module before a reload and
// another after it.
func TestModulesAreSwappedAtOnce(t *testing.T) {
	var w *Worker
	w = loaded(t, map[string]Module{"a": numbered(&w, "/a", "/b"), "b": numbered(&w, "/b", "")}, "a", "b")
	over := make(chan struct{})
	var wg sync.WaitGroup
	var mixed atomic.Int64
	for range 2 {
		wg.Go(func() {
			for {
				var a, b int
				if n, _ := fmt.Sscan(get(w, "/a"), &a, &b); n != 2 || a != b {
					mixed.Add(1)
				}
				select {
				case <-over:
					return
				default:
				}
			}
		})
	}
	for done := 0; done < 200; {
		switch err := w.reloadModules(t.Context(), nil); {
		case err == nil:
			done++
		case !errors.Is(err, control.ErrBusy): // two earlier versions may still answer
			t.Fatal(err)
		}
	}
	close(over)
	wg.Wait()
	if n := mixed.Load(); n > 0 {
		t.Errorf("%d requests saw two versions", n)
	}
	if got := get(w, "/a"); got != "201 201 " {
		t.Errorf("after 200 reloads it answers %q", got)
	}
}

// TestRequestKeepsItsVersion: a request that began before a reload ends with the
// version with which it began, whose scope lasts as long; and a third version
// waits for an operator.
func TestRequestKeepsItsVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, proceed := 0, make(chan struct{})
		w := loaded(t, map[string]Module{"a": {Version: "v1.0.0", Init: func(_ context.Context, s *Scope) error {
			n++
			mine := n
			s.Handle("/", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				<-proceed
				fmt.Fprint(rw, mine, s.Context().Err())
			}))
			return nil
		}}}, "a")
		answers := make(chan string, 2)
		for range maxCooling {
			go func() { answers <- get(w, "/") }()
			synctest.Wait()
			must(t, w.reloadModules(t.Context(), nil))
		}
		if err := w.reloadModules(t.Context(), nil); !errors.Is(err, control.ErrBusy) {
			t.Errorf("a third reload: %v", err)
		}
		close(proceed)
		got := map[string]bool{<-answers: true, <-answers: true}
		if !got["1 <nil>"] || !got["2 <nil>"] {
			t.Errorf("they were answered by %v", got)
		}
		synctest.Wait()
		must(t, w.reloadModules(t.Context(), nil))
		if got := get(w, "/"); got != "4 <nil>" {
			t.Errorf("after the last reload it answers %q", got)
		}
	})
}

// TestModuleStateMoves: requests wait while the state of a module moves within the
// process, in order of registration, and a hook that fails changes nothing.
func TestModuleStateMoves(t *testing.T) {
	var order []string
	fails := ""
	stateful := func(name string) Module {
		n := 0
		begin := func(s *Scope, from int) error {
			mine := from
			n = mine
			s.Handle("/"+name, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { n++; fmt.Fprint(rw, n) }))
			return nil
		}
		hook := func(what string) error {
			order = append(order, name+" "+what)
			if fails == name+" "+what {
				return errors.New("as asked")
			}
			return nil
		}
		return Module{
			Version: "v1.0.0",
			Init:    func(_ context.Context, s *Scope) error { return begin(s, 0) },
			BeforeReload: func(context.Context) (State, error) {
				if err := hook("before"); err != nil {
					return State{}, err
				}
				return JSON(n)
			},
			Resume: func(context.Context) error { return hook("resume") },
			AfterReload: func(_ context.Context, s *Scope, state State) error {
				if err := hook("after"); err != nil {
					return err
				}
				var from int
				if err := state.JSON(&from); err != nil {
					return err
				}
				return begin(s, from)
			},
		}
	}
	w := loaded(t, map[string]Module{"a": stateful("a"), "b": stateful("b")}, "a", "b")
	get(w, "/a")
	must(t, w.reloadModules(t.Context(), nil))
	if got := strings.Join(order, ", "); got != "a before, a after, b before, b after" {
		t.Errorf("the hooks ran in the order %s", got)
	}
	order, fails = nil, "b after"
	err := w.reloadModules(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "module b of web/0: AfterReload: as asked") {
		t.Errorf("reload: %v", err)
	}
	if got := strings.Join(order, ", "); got != "a before, a after, b before, b after, a resume, b resume" {
		t.Errorf("the hooks ran in the order %s", got)
	}
	if got := get(w, "/a"); got != "2" {
		t.Errorf("/a answers %s, want 2", got)
	}
	if err := w.reloadModules(t.Context(), []string{"c"}); !errors.Is(err, control.ErrUsage) {
		t.Errorf("reload of an unknown module: %v", err)
	}
	must(t, w.reloadModules(t.Context(), []string{"a"}))
	var infos []control.ModuleInfo
	data, err := w.builtIn(control.HandlerModules)(t.Context(), nil)
	must(t, errors.Join(err, json.Unmarshal(data, &infos)))
	if a, b := infos[0], infos[1]; a.Reloads != 2 || a.Failed != "" || a.From != "v1.0.0" || b.Reloads != 1 || !strings.Contains(b.Failed, "as asked") {
		t.Errorf("they say of themselves %+v", infos)
	}
}

// TestHookThatHangs: its module takes part in no reload until it has returned.
func TestHookThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		proceed := make(chan struct{})
		w := loaded(t, map[string]Module{"a": {Version: "v1.0.0", BeforeReload: func(context.Context) (State, error) {
			<-proceed
			return State{}, nil
		}}}, "a")
		begun := time.Now()
		if err := w.reloadModules(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "did not return within 5s") || time.Since(begun) != defaultHookTimeout {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		if err := w.reloadModules(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "has not returned yet") {
			t.Errorf("again: %v", err)
		}
		close(proceed)
		synctest.Wait()
		must(t, w.reloadModules(t.Context(), nil))
	})
}

// TestUnregister ends a module; its handlers are found no more.
func TestUnregister(t *testing.T) {
	ended := false
	m := Module{
		Version:  "v1.0.0",
		Init:     func(_ context.Context, s *Scope) error { s.Handle("/a", http.HandlerFunc(answer)); return nil },
		Finalize: func(context.Context) error { ended = true; return nil },
	}
	w := loaded(t, map[string]Module{"a": m}, "a")
	if err := w.Register("a", m); err == nil {
		t.Error("a name is taken twice")
	}
	if err := w.Register("b", Module{Version: "1.0"}); err == nil || !strings.Contains(err.Error(), "must be like v1.2.0") {
		t.Errorf("a version that is none: %v", err)
	}
	w.Mailbox()
	if err := w.Register("norestart.mail", m); err == nil || err.Error() != "register module norestart.mail: names that begin with norestart. are norestart's own" {
		t.Errorf("a name of norestart: %v", err)
	}
	if w.Unregister("norestart.mail") == nil {
		t.Error("the mailbox is unregistered")
	}
	must(t, w.Register("late", Module{Version: "v1.0.0", Init: func(_ context.Context, s *Scope) error {
		s.Handle("/late", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "late") }))
		return nil
	}}))
	must(t, w.Unregister("a"))
	if got := get(w, "/a"); !ended || !strings.Contains(got, "404") || get(w, "/late") != "late" {
		t.Errorf("it is finalized: %t; /a answers %q, /late %q", ended, got, get(w, "/late"))
	}
	if w.Unregister("a") == nil {
		t.Error("it is unregistered twice")
	}
}

// TestPrepared: what was prepared serves only when it is told so. If it is told to go
// on, not in time, or leaves, everything is as it was.
func TestPrepared(t *testing.T) {
	for name, test := range map[string]struct {
		decide func(*Worker) error
		after  time.Duration // until requests are answered
		want   string
		failed string
	}{
		"switch":    {func(w *Worker) error { return w.switchModules("token") }, 0, "2", ""},
		"abandon":   {func(w *Worker) error { w.abandonModules("token", nil); return nil }, 0, "1", ""},
		"no word":   {func(*Worker) error { return nil }, time.Minute + decideWithin, "1", "no word came"},
		"another's": {func(w *Worker) error { w.abandonModules("other", nil); return nil }, time.Minute + decideWithin, "1", "no word came"},
		"leaves":    {func(w *Worker) error { w.stopServing(); return nil }, 0, "1", "context canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				version := 0
				begin := func(s *Scope) {
					version++
					mine := version
					s.Handle("/", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, mine) }))
				}
				w := loaded(t, map[string]Module{"a": {
					Version: "v1.0.0", Init: func(_ context.Context, s *Scope) error { begin(s); return nil },
					BeforeReload: func(context.Context) (State, error) { return State{}, nil },
					AfterReload:  func(_ context.Context, s *Scope, _ State) error { begin(s); return nil },
				}}, "a")
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				must(t, w.prepareModules(ctx, "token", nil))
				if err := w.prepareModules(ctx, "second", nil); !errors.Is(err, control.ErrBusy) {
					t.Errorf("while one is prepared, a second one: %v", err)
				}
				begun := time.Now()
				must(t, test.decide(w))
				if got := get(w, "/"); got != test.want || time.Since(begun) != test.after {
					t.Errorf("after %v it answers %s; want %v, %s", time.Since(begun), got, test.after, test.want)
				}
				synctest.Wait()
				if got := w.modules.infos()[0].Failed; test.failed == "" && got != "" || !strings.Contains(got, test.failed) {
					t.Errorf("it says that the reload failed: %q", got)
				}
				if w.switchModules("token") == nil {
					t.Error("it switches without having prepared")
				}
				if !w.modules.busy.TryLock() {
					t.Fatal("no other reload can begin")
				}
				w.modules.busy.Unlock()
			})
		})
	}
}
