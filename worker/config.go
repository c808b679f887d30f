package worker

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

// Config is the configuration of the application: what its ConfigFile says. A
// module learns of another one by CheckConfig and ApplyConfig.
type Config struct{ data []byte }

// Config is the present configuration; without a ConfigFile it is empty.
func (w *Worker) Config() Config {
	now, _ := w.config.state()
	return Config{now}
}

// Decode stores the configuration in the value to which v points, as
// [json.Unmarshal] does: a field is named by its json tag, or like the key in
// upper or lower case. What the file does not say stays as it is in v, so v begins
// with the defaults. A key that v does not have is an error.
func (c Config) Decode(v any) error {
	if c.data == nil {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(c.data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	return nil
}

// Table is the table of that name, for the part of one module; empty if there is
// none.
func (c Config) Table(name string) Config {
	var all map[string]json.RawMessage
	if json.Unmarshal(c.data, &all) != nil { // there is none
		return Config{}
	}
	return Config{all[name]}
}

// configuration is what a worker knows of it.
type configuration struct {
	turn      sync.Mutex // held while one is applied
	mu        sync.Mutex // a leaf, of the others
	now, want []byte     // the one that it has, and the last one that it was told
}

func (c *configuration) state() (now, want []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now, c.want
}

func (c *configuration) wish(data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.want = data
}

// become notes that data is applied; if it is not, nobody wants it here any more.
func (c *configuration) become(data []byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.now = data
	} else if bytes.Equal(c.want, data) {
		c.want = c.now
	}
}

// digest is for the primary, which tells a worker whose configuration is another
// one, or is just being changed, the one that holds.
func (c *configuration) digest() string {
	now, want := c.state()
	if !bytes.Equal(now, want) {
		return "changing"
	}
	return ipc.ConfigDigest(now)
}

// configHandlers are those by which the primary asks all workers whether they
// could go on with a configuration, and then lets them.
func (w *Worker) configHandlers(name string) Handler {
	answer := func(do func(context.Context, []byte) error) Handler {
		return func(ctx context.Context, args []string) ([]byte, error) {
			if len(args) != 1 || !json.Valid([]byte(args[0])) {
				return nil, fmt.Errorf("%w: %s: must have one argument, the configuration as JSON", control.ErrUsage, name)
			}
			return nil, do(ctx, []byte(args[0]))
		}
	}
	switch name {
	case control.HandlerConfigCheck:
		return answer(w.checkConfig)
	case control.HandlerConfigApply:
		return answer(func(ctx context.Context, data []byte) error {
			w.config.wish(data)
			return w.applyConfig(ctx, data)
		})
	}
	return nil
}

func (w *Worker) checkConfig(ctx context.Context, data []byte) error {
	if !w.modules.busy.TryLock() {
		return w.busyModules()
	}
	defer w.modules.busy.Unlock()
	return checkAll(ctx, w.modules.list(), Config{data})
}

func checkAll(ctx context.Context, all []*module, now Config) error {
	for _, m := range all {
		if m.CheckConfig == nil || now.data == nil {
			continue
		}
		if err := m.call(ctx, "CheckConfig", func(ctx context.Context) error { return m.CheckConfig(ctx, now) }); err != nil {
			return err
		}
	}
	return nil
}

// toldConfig is for a worker that was not asked with the others, because it was not
// ready, or had another primary. One that cannot go on with what holds is replaced.
func (w *Worker) toldConfig(data []byte) {
	w.config.wish(data)
	w.wg.Go(func() {
		_, want := w.config.state() // the last one, if several came
		if err := w.applyConfig(w.working, want); err != nil && !errors.Is(err, errSuperseded) && w.serving.Err() == nil {
			fmt.Println(err)
			w.Leave()
		}
	})
}

var errSuperseded = errors.New("another configuration has been told since")

// applyConfig lets all modules go on with another configuration, or none.
func (w *Worker) applyConfig(ctx context.Context, data []byte) error {
	w.config.turn.Lock()
	defer w.config.turn.Unlock()
	now, want := w.config.state()
	if !bytes.Equal(want, data) {
		return errSuperseded
	}
	if bytes.Equal(now, data) {
		return nil
	}
	w.modules.busy.Lock()
	defer w.modules.busy.Unlock()
	err := cmp.Or(context.Cause(ctx), w.serving.Err())
	if err == nil && w.modules.loaded {
		err = w.applyAll(ctx, Config{now}, Config{data})
	}
	w.config.become(data, err)
	return err
}

func (w *Worker) applyAll(ctx context.Context, old, now Config) error {
	apply := func(ctx context.Context, m *module, old, now Config) error {
		if m.ApplyConfig == nil {
			return nil
		}
		return m.call(ctx, "ApplyConfig", func(ctx context.Context) error { return m.ApplyConfig(ctx, old, now) })
	}
	all := w.modules.list()
	for i, m := range all {
		err := apply(ctx, m, old, now)
		if err == nil {
			continue
		}
		for ; i >= 0; i-- {
			if back := apply(w.working, all[i], now, old); back != nil {
				w.Leave()
				return errors.Join(err, fmt.Errorf("on its way back: %w", back))
			}
		}
		return err
	}
	return nil
}
