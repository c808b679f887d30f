package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

// settings are what the modules of these tests are told.
type settings struct {
	Name string
	Fail []string // calls of hooks, as "b v1 v2"
}

// configured is a worker with modules that note what their hooks are told.
func configured(t *testing.T, first string, names ...string) (w *Worker, calls *[]string) {
	t.Helper()
	w, err := newWorker(ipc.Boot{Pool: "web", Config: []byte(first)})
	must(t, err)
	t.Cleanup(w.leave)
	calls = &[]string{}
	for _, name := range names {
		must(t, w.Register(name, Module{
			Version: "v1.0.0",
			CheckConfig: func(_ context.Context, now Config) error {
				var s settings
				return errors.Join(now.Decode(&s), s.fails(name+" check "+s.Name))
			},
			ApplyConfig: func(_ context.Context, old, now Config) error {
				var from, to settings
				if err := errors.Join(old.Decode(&from), now.Decode(&to)); err != nil {
					return err
				}
				call := fmt.Sprintf("%s %s %s", name, from.Name, to.Name)
				*calls = append(*calls, call)
				return errors.Join(from.fails(call), to.fails(call))
			},
		}))
	}
	return w, calls
}

func (s settings) fails(call string) error {
	for _, f := range s.Fail {
		if f == call {
			return errors.New("as asked")
		}
	}
	return nil
}

func named(w *Worker) string {
	var s settings
	if err := w.Config().Decode(&s); err != nil {
		return err.Error()
	}
	return s.Name
}

// TestConfigApply: all modules of a worker go on with a configuration, or none.
func TestConfigApply(t *testing.T) {
	for name, test := range map[string]struct {
		to, err string
		calls   []string
		has     string
		leaves  bool
	}{
		"all":     {`{"name":"v2"}`, "", []string{"a v1 v2", "b v1 v2", "c v1 v2"}, "v2", false},
		"same":    {`{"name":"v1"}`, "", nil, "v1", false},
		"one not": {`{"name":"v2","fail":["b v1 v2"]}`, "module b of web/0: ApplyConfig: as asked", []string{"a v1 v2", "b v1 v2", "b v2 v1", "a v2 v1"}, "v1", false},
		"no way back": {
			`{"name":"v2","fail":["c v1 v2","b v2 v1"]}`, "on its way back: module b of web/0: ApplyConfig: as asked",
			[]string{"a v1 v2", "b v1 v2", "c v1 v2", "c v2 v1", "b v2 v1"},
			"v1", true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, calls := configured(t, `{"name":"v1"}`, "a", "b", "c")
			must(t, w.Load())
			_, err := w.builtIn(control.HandlerConfigApply)(t.Context(), []string{test.to})
			if test.err == "" && err != nil || !strings.Contains(fmt.Sprint(err), test.err) {
				t.Errorf("apply: %v", err)
			}
			if diff := cmp.Diff(test.calls, append([]string(nil), *calls...)); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if got := named(w); got != test.has || (w.serving.Err() != nil) != test.leaves {
				t.Errorf("it has %s, and leaves: %v", got, w.serving.Err())
			}
			if got := w.config.digest(); got != ipc.ConfigDigest(w.Config().data) {
				t.Errorf("it says %s", got)
			}
		})
	}
}

// TestConfigCheck: a worker neither begins with a configuration that a module
// refuses, nor changes anything when it is asked.
func TestConfigCheck(t *testing.T) {
	w, calls := configured(t, `{"name":"v1"}`, "a", "b")
	must(t, w.Load())
	check := w.builtIn(control.HandlerConfigCheck)
	for arg, want := range map[string]string{
		`{"name":"v2"}`:                       "",
		`{"name":"v2","fail":["b check v2"]}`: "module b of web/0: CheckConfig: as asked",
		`{"nam":"v2"}`:                        `module a of web/0: CheckConfig: configuration: json: unknown field "nam"`,
		`{`:                                   "must have one argument",
	} {
		if _, err := check(t.Context(), []string{arg}); want == "" && err != nil || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s: %v, want %s", arg, err, want)
		}
	}
	if len(*calls) > 0 || named(w) != "v1" {
		t.Errorf("it has %s after %q", named(w), *calls)
	}
	bad, _ := configured(t, `{"name":"v1","fail":["a check v1"]}`, "a")
	if err := bad.Load(); err == nil || !strings.Contains(err.Error(), "CheckConfig: as asked") {
		t.Errorf("it begins: %v", err)
	}
}

// TestConfigTold: a worker that begins goes on with the last configuration that it
// was told, and tells a primary meanwhile that it changes.
func TestConfigTold(t *testing.T) {
	w, _ := configured(t, `{"name":"v1"}`, "a")
	begun, proceed, applied := make(chan struct{}), make(chan struct{}), make(chan struct{}, 8)
	must(t, w.Register("slow", Module{
		Version:     "v1.0.0",
		Init:        func(context.Context, *Scope) error { close(begun); <-proceed; return nil },
		ApplyConfig: func(context.Context, Config, Config) error { applied <- struct{}{}; return nil },
	}))
	loaded := make(chan error, 1)
	go func() { loaded <- w.Load() }()
	<-begun
	w.toldConfig([]byte(`{"name":"v2"}`))
	w.toldConfig([]byte(`{"name":"v3"}`))
	if got := w.config.digest(); got != "changing" {
		t.Errorf("while it changes it says %s", got)
	}
	close(proceed)
	must(t, <-loaded)
	for named(w) != "v3" {
		<-applied
		must(t, w.applyConfig(t.Context(), []byte(`{"name":"v3"}`))) // when that one is over
	}
	if err := w.serving.Err(); err != nil {
		t.Error("it leaves")
	}
	w.toldConfig([]byte(`{"name":"v4","fail":["a v3 v4"]}`))
	within(t, w.serving.Done())
}

func TestConfigDecode(t *testing.T) {
	c := Config{[]byte(`{"max_items":3,"cart":{"limit":7}}`)}
	var all struct {
		MaxItems int `json:"max_items"`
		Cart     struct{ Limit int }
		Kept     string
	}
	all.Kept = "default"
	must(t, c.Decode(&all))
	cart := struct{ Limit int }{1}
	must(t, c.Table("cart").Decode(&cart))
	none := struct{ Limit int }{1}
	must(t, errors.Join(c.Table("basket").Decode(&none), Config{}.Decode(&none), Config{}.Table("x").Decode(&none)))
	if all.MaxItems != 3 || all.Cart.Limit != 7 || all.Kept != "default" || cart.Limit != 7 || none.Limit != 1 {
		t.Error(all, cart, none)
	}
	if err := c.Decode(&cart); err == nil || !strings.Contains(err.Error(), `unknown field "`) {
		t.Errorf("a key that is unknown: %v", err)
	}
}
