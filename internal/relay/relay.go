package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/norestart/norestart/internal/shellworker"
	"github.com/norestart/norestart/worker"
)

// Config is what a relay is told.
type Config struct{ Pools []Pool }

// Pool is a pool that connections are passed on to.
type Pool struct {
	Name      string
	Listeners []string // names
	// ProxyProtocol begins each connection to a process with the address of the
	// client: "v1", "v2", or empty.
	ProxyProtocol string
	// Forwarded passes on requests of HTTP/1, with the address in X-Forwarded-For.
	Forwarded bool
}

// Run is what a worker of the pool does, with a [Config] as JSON for its settings.
func Run(ctx context.Context, w *worker.Worker) error {
	var c Config
	access := shellworker.From(ctx)
	if err := json.Unmarshal(access.Settings, &c); err != nil {
		return fmt.Errorf("settings of the relay: %w", err)
	}
	pools := make(map[string]*pool)
	for _, p := range c.Pools {
		pools[p.Name] = newPool(p, access.Left)
	}
	over := make(chan struct{})
	var following, serving sync.WaitGroup
	following.Go(func() { follow(pools, access, over) })
	defer following.Wait()
	defer close(over)
	var mu sync.Mutex
	var errs []error
	for _, p := range pools {
		for _, name := range p.Listeners {
			serving.Go(func() {
				err := p.serve(ctx, w, name)
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			})
		}
	}
	serving.Wait()
	return errors.Join(errs...)
}

// follow takes what the primary says until over.
func follow(pools map[string]*pool, access shellworker.Access, over <-chan struct{}) {
	for {
		select {
		case u := <-access.Upstreams:
			if p := pools[u.Pool]; p != nil {
				p.update(u, over)
			}
		case <-over:
			for _, p := range pools {
				p.waits.Wait()
			}
			return
		}
	}
}

func (p *pool) serve(ctx context.Context, w *worker.Worker, name string) error {
	ln, err := w.Listener(name)
	if err != nil {
		return err
	}
	if p.Forwarded {
		return w.ServeHTTP(ctx, p.server(), ln)
	}
	return w.Serve(ctx, patient{ln, p, ctx}, func(_ context.Context, c net.Conn) { p.carry(w.Context(), c) })
}

// patient leaves connections in the queue of the kernel while no process serves: the
// next relay has them, if this one ends.
type patient struct {
	net.Listener
	pool *pool
	ctx  context.Context // when it ends, what is queued is accepted
}

func (l patient) Accept() (net.Conn, error) {
	for {
		some, changed := l.pool.some()
		if some {
			return l.Listener.Accept()
		}
		select {
		case <-changed:
		case <-l.ctx.Done():
			return l.Listener.Accept()
		}
	}
}
