// Package shellworker has what only workers of built-in pools get: the primary
// opens files of the state directory for those of the shell, hands them the commands
// of callers on the machine itself, and tells the relay which processes serve.
// Package worker puts it into the context of the Run function, and they take it from
// there, so an application does not see it.
package shellworker

import (
	"context"

	"github.com/norestart/norestart/internal/ipc"
)

// Access is what such a worker gets. In other pools the primary refuses the files,
// and nothing comes.
type Access struct {
	Files ipc.Broker
	Calls <-chan *Call
	// Settings are those of the built-in pool (admin port, agent, relay) as the
	// primary knows them; empty: they are in the program.
	Settings []byte
	// Upstreams are for the relay, which takes each at once.
	Upstreams <-chan ipc.Upstreams
	// Left says of a process that it may be asked to end. Without a primary it is
	// lost: the next one asks again.
	Left func(ipc.Left)
}

type key struct{}

// With returns a context that has a.
func With(ctx context.Context, a Access) context.Context { return context.WithValue(ctx, key{}, a) }

// From returns the Access in a context of a Run function.
func From(ctx context.Context) Access { return ctx.Value(key{}).(Access) }
