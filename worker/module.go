package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/mod/semver"

	"github.com/norestart/norestart/control"
)

// Module is a part of an application whose state outlives the process that has
// it. Its hooks are called one at a time, those of several modules in the order of
// their registration, Finalize in the reverse order. A hook that returns an error,
// panics, or does not return within Timeout fails: in a successor the reload is
// taken back, and the worker that it was to replace goes on.
//
// A hook that is nil does nothing.
type Module struct {
	// Version of the module and of its state, as in "v1.2.0" (semver.org).
	Version string
	// Timeout is how long each hook may take; 0: 5 s.
	Timeout time.Duration

	// Init begins without a state: at the first start, after a crash, or when the
	// worker before had no such module. What serves requests is registered in s.
	Init func(ctx context.Context, s *Scope) error
	// AfterReload begins with the state that BeforeReload of another process, or of
	// this one in a `module reload`, has returned. Its version is state.Version,
	// which may be newer than ours: then it is a way back. nil: Init is called
	// instead, and the state is given up.
	AfterReload func(ctx context.Context, s *Scope, state State) error
	// BeforeReload returns a copy of the state and leaves the module able to go on.
	// No request is answered from before the call until the module's successor
	// serves, or until Resume has returned. What else changes the state, such as
	// goroutines of the module, is stopped here.
	BeforeReload func(ctx context.Context) (State, error)
	// Resume takes work again after BeforeReload: the reload has failed.
	Resume func(ctx context.Context) error
	// CheckConfig says whether the module could go on with a configuration, and
	// changes nothing. It is called before Init and AfterReload, too, with the one
	// that they find in [Worker.Config].
	CheckConfig func(ctx context.Context, now Config) error
	// ApplyConfig goes on with another configuration, while requests are answered.
	// All workers have agreed by CheckConfig before. If it fails here, or in another
	// worker, it is called once more with the two exchanged, and brings the module
	// back, whatever part of the first call was done; if that fails, too, the worker
	// is replaced.
	ApplyConfig func(ctx context.Context, old, now Config) error
	// Finalize ends the module for good: the worker stops, its slot is emptied, or
	// the module is unregistered. It is not called when its state has gone to a
	// successor, or back to the predecessor: that has all that it would clear away.
	Finalize func(ctx context.Context) error
}

const defaultHookTimeout = 5 * time.Second

func (m Module) timeout() time.Duration {
	if m.Timeout > 0 {
		return m.Timeout
	}
	return defaultHookTimeout
}

// module is one that is registered. Its fields below are guarded by the lock of
// [modules], which is held while a hook runs.
type module struct {
	Module
	name, worker string
	scope        *Scope
	began        int                // bytes of Data with which it began
	hung         <-chan struct{}    // a hook that did not return in time: closed when it has
	info         control.ModuleInfo // guarded by the leaf lock
}

// errHung is the cause of a hook's end by time.
var errHung = errors.New("its time is over")

// call calls a hook on a goroutine of its own, because it may not return.
func (m *module) call(ctx context.Context, hook string, f func(context.Context) error) error {
	if m.hangs() {
		return m.fail(hook, errors.New("an earlier hook has not returned yet"))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, m.timeout(), errHung)
	defer cancel()
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if r := recover(); r != nil {
				fmt.Printf("panic in %s of module %s: %v\n%s", hook, m.name, r, debug.Stack())
				err = fmt.Errorf("panicked: %v", r)
			}
		}()
		err = f(ctx)
	}()
	select {
	case <-done:
		if err != nil {
			return m.fail(hook, err)
		}
		return nil
	case <-ctx.Done():
	}
	if context.Cause(ctx) != errHung { // a hook that obeys its context gets a moment
		select {
		case <-done:
		case <-time.After(m.timeout()):
			m.hung = done
		}
		return m.fail(hook, context.Cause(ctx))
	}
	m.hung = done
	return m.fail(hook, fmt.Errorf("did not return within %v", m.timeout()))
}

// internal reports whether it is norestart's own: it moves to a successor with the
// others, and is no module to an operator.
func (m *module) internal() bool { return strings.HasPrefix(m.name, control.HandlerPrefix) }

func (m *module) hangs() bool {
	select {
	case <-m.hung:
		m.hung = nil
	default:
	}
	return m.hung != nil
}

func (m *module) fail(hook string, err error) error {
	return fmt.Errorf("module %s of %s: %s: %w", m.name, m.worker, hook, err)
}

// begin calls Init or AfterReload with a new scope.
func (m *module) begin(ctx context.Context, state *State) (*Scope, error) {
	s := newScope(m.name, m.Version)
	var err error
	switch {
	case state != nil && m.AfterReload != nil:
		err = m.call(ctx, "AfterReload", func(ctx context.Context) error { return m.AfterReload(ctx, s, *state) })
	case m.Init != nil:
		err = m.call(ctx, "Init", func(ctx context.Context) error { return m.Init(ctx, s) })
	}
	s.seal()
	if err != nil {
		s.cancel(err)
		return nil, err
	}
	return s, nil
}

func (m *module) end(ctx context.Context) error {
	if m.scope == nil {
		return nil
	}
	m.scope.cancel(errRetired)
	m.scope = nil
	if m.Finalize == nil {
		return nil
	}
	return m.call(ctx, "Finalize", m.Finalize)
}

// move tells how a state came from one version to another.
func move(from, to string) string {
	switch semver.Compare(from, to) {
	case 0:
		return "state of " + from
	case 1:
		return fmt.Sprintf("downgrade from %s to %s", from, to)
	}
	return fmt.Sprintf("upgrade from %s to %s", from, to)
}
