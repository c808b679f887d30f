package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/durable"
)

// Hook is what is done when something happens.
type Hook struct {
	Name    string
	Events  []string      // patterns of names of events, see [path.Match]
	Run     []string      // a program and its arguments; empty: URL
	Dir     string        // the working directory of Run, absolute
	URL     string        // that gets a POST
	Timeout time.Duration // of one attempt
	Retries int           // after a first attempt that failed
}

// The pauses between two attempts.
const (
	retryFirst = time.Second
	retryLast  = time.Minute
)

// hooks are all of a cluster. Each is told of one event after the other, and what
// it has been told stands in a file, so that the next agent goes on from there.
// Events wait with the primary, which keeps the last ones: a hook that is slow
// holds up its own events alone.
type hooks struct {
	control control.Control
	cluster string
	file    string // with its lock beside it
	start   control.Cursor
	counted counted

	mu   sync.Mutex // guards told and the file
	told map[string]control.Cursor
}

// begin finds the place from which each hook goes on: one that is new, from start.
func (h *hooks) begin(all []Hook) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = make(map[string]control.Cursor)
	known := make(map[string]control.Cursor)
	text, err := os.ReadFile(h.file)
	if err == nil {
		err = json.Unmarshal(text, &known)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		warn("the hooks begin anew: %v", err)
	}
	for _, hook := range all {
		at, ok := known[hook.Name]
		if !ok {
			at = h.start
		}
		h.told[hook.Name] = at
	}
	return h.save()
}

// lastEvent is the place of the last event.
func lastEvent(ctx context.Context, c control.Control) control.Cursor {
	at := control.Cursor{Epoch: 1}                                                        // in no stream: all that is kept comes after it
	_ = control.Watch(ctx, c, control.EventQuery{Lines: 1}, func(e control.Event) error { // without a primary the next one begins with nothing
		at = e.Cursor
		return nil
	})
	return at
}

func (h *hooks) save() error {
	text, err := json.Marshal(h.told)
	if err != nil {
		return err
	}
	return durable.WriteFile(h.file, text, 0o600)
}

func (h *hooks) place(name string) control.Cursor {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.told[name]
}

func (h *hooks) passed(name string, at control.Cursor) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told[name] = at
	if err := h.save(); err != nil {
		warn("hook %s: the next agent will repeat what it did: %v", name, err)
	}
}

// lastAttempt is how long an attempt may go on when the agent is replaced.
const lastAttempt = 5 * time.Second

// keepRunning is run for an agent whose own commands may go on for longer.
func (h *hooks) keepRunning(ctx, working context.Context, all []Hook) {
	cut, end := context.WithCancel(working)
	defer end()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lastAttempt, end) })()
	if err := h.run(ctx, cut, all); err != nil && ctx.Err() == nil {
		warn("no hook is told of anything: %v", err)
	}
}

// run tells the hooks of events until ctx ends. An attempt that is under way then
// has until cut ends.
func (h *hooks) run(ctx, cut context.Context, all []Hook) error {
	lock, err := durable.Acquire(ctx, h.file+".lock") // the agent before this one may still be telling
	if err != nil {
		return err
	}
	defer lock.Release()
	if err := h.begin(all); err != nil {
		return err
	}
	var running sync.WaitGroup
	for _, hook := range all {
		running.Go(func() { h.tellAll(ctx, cut, hook) })
	}
	running.Wait()
	return nil
}

// tellAll tells one hook of its events.
func (h *hooks) tellAll(ctx, cut context.Context, hook Hook) {
	at := h.place(hook.Name)
	for {
		e, name, err := h.next(ctx, hook, at)
		if err != nil {
			return
		}
		if e.Skipped > 0 {
			warn("hook %s: it is too slow: up to %d events were dropped", hook.Name, e.Skipped)
			h.counted.dropped.WithLabelValues(hook.Name).Add(float64(e.Skipped))
		}
		if !h.tell(ctx, cut, hook, happened(ctx, h.control, h.cluster, name, e)) {
			return
		}
		at = e.Cursor
		h.passed(hook.Name, at)
	}
}

var errFound = errors.New("found")

// next waits for the next event after a place that the hook is for.
func (h *hooks) next(ctx context.Context, hook Hook, after control.Cursor) (found control.Event, name string, err error) {
	skipped := 0
	err = events.follow(ctx, h.control, after, func(e control.Event) error {
		skipped += e.Skipped
		if name = matching(hook.Events, namesOf(ctx, h.control, e)); name == "" {
			return nil
		}
		found, found.Skipped = e, skipped
		return errFound
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return found, name, err
}

// matching is the last of the names that a pattern fits.
func matching(patterns, names []string) string {
	for _, name := range slices.Backward(names) {
		for _, p := range patterns {
			if ok, _ := path.Match(p, name); ok { // they were checked
				return name
			}
		}
	}
	return ""
}

// tell tells a hook of an event, if need be several times; false: that is left
// to the next agent.
func (h *hooks) tell(ctx, cut context.Context, hook Hook, what happening) bool {
	pause := retryFirst
	for attempt := 0; ; attempt++ {
		err := hook.once(cut, what)
		switch {
		case err == nil:
			h.counted.hooks.WithLabelValues(hook.Name, "ok").Inc()
			return true
		case cut.Err() != nil:
			return false
		case attempt == hook.Retries:
			warn("hook %s: %s: given up: %v", hook.Name, what.Event, err)
			h.counted.hooks.WithLabelValues(hook.Name, "failed").Inc()
			return true
		}
		warn("hook %s: %s: tried again in %v: %v", hook.Name, what.Event, pause, err)
		h.counted.hooks.WithLabelValues(hook.Name, "retried").Inc()
		if sleep(ctx, pause-rand.N(pause/5)); ctx.Err() != nil {
			return false
		}
		pause = min(2*pause, retryLast)
	}
}

// once is one attempt.
func (hook Hook) once(ctx context.Context, what happening) error {
	ctx, cancel := context.WithTimeoutCause(ctx, hook.Timeout, fmt.Errorf("it took longer than %v", hook.Timeout))
	defer cancel()
	if len(hook.Run) == 0 {
		return post(ctx, hook.URL, what)
	}
	return hook.execute(ctx, what)
}

// warn writes into the log of the cluster.
func warn(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
