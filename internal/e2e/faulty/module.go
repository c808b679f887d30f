package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/norestart/norestart/worker"
)

// register registers the module of a worker that is asked for one: it counts
// requests to /count, and its hooks fail as they are asked to.
func register(w *worker.Worker) error {
	version, ok := asked("module", w.Slot())
	if !ok {
		return nil
	}
	var n atomic.Int64
	var current configured
	begin := func(s *worker.Scope) error {
		if err := current.load(w.Config()); err != nil {
			return err
		}
		s.Handle("/greeting", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprintf(rw, "%s\n", current.Load().Greeting) }))
		s.Handle("/count", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprintf(rw, "counted %d\n", n.Add(1)) }))
		s.HandleCall("greeting", func(context.Context, []string) ([]byte, error) { return []byte(current.Load().Greeting), nil })
		s.HandleCall("count", func(context.Context, []string) ([]byte, error) { return fmt.Append(nil, n.Load()), nil })
		return nil
	}
	return w.Register("counter", worker.Module{
		Version: version, Timeout: patience(w.Slot()),
		Init: func(_ context.Context, s *worker.Scope) error { return begin(s) },
		BeforeReload: func(context.Context) (worker.State, error) {
			if err := fail("before", w.Slot()); err != nil {
				return worker.State{}, err
			}
			return worker.JSON(n.Load())
		},
		AfterReload: func(_ context.Context, s *worker.Scope, state worker.State) error {
			if err := fail("after", w.Slot()); err != nil {
				return err
			}
			var was int64
			if err := state.JSON(&was); err != nil {
				return err
			}
			n.Store(was)
			return begin(s)
		},
		CheckConfig: func(_ context.Context, now worker.Config) error {
			var s settings
			if err := now.Decode(&s); err != nil {
				return err
			}
			if s.Refuse == w.ID() {
				return errors.New("the greeting is too loud")
			}
			return nil
		},
		ApplyConfig: func(_ context.Context, _, now worker.Config) error {
			if err := current.load(now); err != nil {
				return err
			}
			fmt.Println("faulty: greets with", current.Load().Greeting)
			switch w.ID() {
			case current.Load().Fail:
				return errors.New("no voice")
			case current.Load().Panic:
				panic("no ears")
			case current.Load().Slow:
				return fail("apply", w.Slot())
			}
			return nil
		},
		Finalize: func(context.Context) error {
			fmt.Printf("faulty: finalized at %d\n", n.Load())
			return nil
		},
	})
}

// patience is how long a hook may take.
func patience(slot int) time.Duration {
	text, _ := asked("patience", slot)
	if d, err := time.ParseDuration(text); err == nil {
		return d
	}
	return 2 * time.Second
}

// settings are the configuration. Refuse, Fail, Panic and Slow are the worker that
// does so: Refuse in CheckConfig, the others in ApplyConfig, when Greeting is set.
// Slow does what the file "apply" asks.
type settings struct{ Greeting, Refuse, Fail, Panic, Slow string }

type configured struct{ atomic.Pointer[settings] }

func (c *configured) load(from worker.Config) error {
	s := settings{Greeting: "hello"}
	if err := from.Decode(&s); err != nil {
		return err
	}
	c.Store(&s)
	return nil
}

// fail does what a file asks a hook to do.
func fail(hook string, slot int) error {
	switch how, _ := asked(hook, slot); how {
	case "error":
		return errors.New("the ledger is locked")
	case "panic":
		panic("no ledger")
	case "slow":
		fmt.Println("faulty: slow in", hook)
		for how == "slow" { // until the file has gone
			time.Sleep(10 * time.Millisecond)
			how, _ = asked(hook, slot)
		}
	case "hang":
		select {}
	case "text":
		return worker.State{Version: "v1.0.0", Data: []byte(`"many"`)}.JSON(new(int64))
	}
	return nil
}
