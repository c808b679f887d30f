package worker

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/shellworker"
	"github.com/norestart/norestart/worker/internal/handover"
)

// Run is what a pool's workers do. It is called once in each worker process and
// should call [Worker.Ready] when it serves, or serve by [Worker.ServeHTTP],
// [Worker.ServeGRPC] or [Worker.Serve], which do so. ctx ends when the worker is
// asked to drain. When Run returns, the process exits: with status 0 for nil,
// else 1 and the error as its last line.
type Run func(ctx context.Context, w *Worker) error

// Worker is the process that fills a slot. Its methods may be called from any
// goroutine.
type Worker struct {
	boot        ipc.Boot
	link        link
	sockets     sockets
	connections *handover.Connections
	handlers    handlers
	modules     modules
	mail        mailing
	config      configuration
	calls       chan *shellworker.Call
	upstreams   chan ipc.Upstreams // for the relay

	serving, working, living context.Context // end when the drain begins, when what is left is cut, when Run has returned
	stopServing, cut, end    context.CancelFunc
	draining                 sync.Once
	drain                    ipc.Drain     // set before serving ends
	closed                   chan struct{} // with the listeners
	isReady, isLeaving       atomic.Bool
	isClosed                 atomic.Bool
	wg                       sync.WaitGroup
}

// ID is POOL/SLOT, as in "web/2".
func (w *Worker) ID() string { return fmt.Sprintf("%s/%d", w.boot.Pool, w.boot.Slot) }

// Cluster is the name of the cluster.
func (w *Worker) Cluster() string { return w.boot.Cluster }

// Pool is the name of the worker's pool.
func (w *Worker) Pool() string { return w.boot.Pool }

// Slot is the number of the worker's slot in its pool, from 0.
func (w *Worker) Slot() int { return w.boot.Slot }

// Generation numbers the version of the pool's code that this worker is.
func (w *Worker) Generation() int { return w.boot.Generation }

// Incarnation numbers the processes of the cluster; none is used twice.
func (w *Worker) Incarnation() uint64 { return w.boot.Incarnation }

// StateDir is the state directory of the cluster.
func (w *Worker) StateDir() string { return w.boot.State }

// Context ends when the work that is left is to be cut: at the end of the time to
// drain, at a second TERM, or when Run has returned. Use it for work that may go
// on during the drain.
func (w *Worker) Context() context.Context { return w.working }

// Ready tells the primary that the worker serves, so that its predecessor in the
// slot retires. Only the first call counts. Without a primary the next one is
// told. Modules that are registered are loaded before, see [Worker.Load]; if that
// fails, the worker is not ready and drains.
func (w *Worker) Ready() {
	if w.Load() != nil { // the end of the process tells why
		w.Leave()
		return
	}
	if !w.isReady.Swap(true) {
		_ = w.link.send(ipc.TypeReady, nil) // without a primary the next hello tells
		w.modules.serve(w)
	}
}

// Leave is for a worker that ends by itself: the primary sends new connections
// elsewhere, and the worker drains as if it had been asked to. The pool's policy
// decides what becomes of the slot. In a worker that drains already it does
// nothing.
func (w *Worker) Leave() {
	if w.serving.Err() != nil {
		return
	}
	w.isLeaving.Store(true)
	_ = w.link.send(ipc.TypeLeaving, nil) // without a primary nothing sends work
	w.startDrain(w.leaveDrain())
}

// Control observes and changes the cluster in the name of user, which may be
// empty. It can do what the pool's Grant allows, else the error is
// [control.ErrDenied]; without a primary it is [control.ErrUnavailable].
func (w *Worker) Control(user string) control.Control {
	return &ipc.Client{Dial: w.dial, Hello: w.hello(), User: user, Lost: w.link.since}
}

func (w *Worker) dial(ctx context.Context) (*net.UnixConn, error) {
	return inherit.DialUnix(ctx, filepath.Join(w.boot.Run, ipc.WorkerSocket))
}

func (w *Worker) hello() ipc.Hello {
	return ipc.Hello{Worker: w.ID(), Generation: w.boot.Generation, Incarnation: w.boot.Incarnation, Secret: w.boot.Secret}
}
