package worker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

// Run is what a pool's workers do. It is called once in each worker process
// and should call [Worker.Ready] when it serves. ctx ends when the worker is
// asked to drain. When Run returns, the process exits: with status 0 for nil,
// else 1 and the error as its last line.
type Run func(ctx context.Context, w *Worker) error

// Worker is the process that fills a slot. Its methods may be called from any
// goroutine.
type Worker struct {
	boot      ipc.Boot
	link      link
	sockets   sockets
	listeners map[string]*listener
	handlers  handlers
	local     chan *LocalCall

	deaf          chan struct{} // closed when the listeners are
	soft, hard    context.Context
	askDrain, cut context.CancelFunc
	draining      sync.Once
	drain         ipc.Drain       // set before soft ends
	ended         context.Context // of the process, after Run has returned
	end           context.CancelFunc
	isReady       atomic.Bool
	leaving       atomic.Bool
	closed        atomic.Bool // accepts no more
	requests      atomic.Int64
	report        report
	farewells     farewells
	heir          atomic.Pointer[heir] // nil: nobody takes our connections
	wg            sync.WaitGroup
}

// report is how the drain goes, in connections. Each counts once.
type report struct {
	moved    atomic.Int64 // go on in another worker
	finished atomic.Int64 // served to their end
	told     atomic.Int64 // idle ones, which were told to go and went, or were closed
	cut      atomic.Int64 // at the deadline
}

func (r *report) message() ipc.Drained {
	return ipc.Drained{Moved: int(r.moved.Load()), Finished: int(r.finished.Load()), Told: int(r.told.Load()), Cut: int(r.cut.Load())}
}

// ID is POOL/SLOT, as in "web/2".
func (w *Worker) ID() string { return fmt.Sprintf("%s/%d", w.boot.Pool, w.boot.Slot) }

// Cluster is the name of the cluster.
func (w *Worker) Cluster() string { return w.boot.Cluster }

// Version is the version of norestart that the primary runs.
func (w *Worker) Version() string { return w.boot.Version }

// Pool is the name of the worker's pool.
func (w *Worker) Pool() string { return w.boot.Pool }

// Slot is the worker's place in its pool, from 0.
func (w *Worker) Slot() int { return w.boot.Slot }

// Generation numbers the version of the pool's code that this worker is.
func (w *Worker) Generation() int { return w.boot.Generation }

// Incarnation numbers the processes of the cluster; none is used twice.
func (w *Worker) Incarnation() uint64 { return w.boot.Incarnation }

// StateDir is the state directory of the cluster.
func (w *Worker) StateDir() string { return w.boot.State }

// Context ends when what still runs is to be cut: at the end of the time to
// drain, or at a second TERM. Use it for work that may go on during the drain.
func (w *Worker) Context() context.Context { return w.hard }

// Ready tells the primary that the worker serves: now the one that it replaces
// retires. Only the first call counts. Without a primary the next one is told.
func (w *Worker) Ready() error {
	if !w.isReady.Swap(true) {
		_ = w.link.send(ipc.TypeReady, nil)
	}
	return nil
}

// Control is the cluster in the name of user. It is refused unless the pool
// has a grant.
func (w *Worker) Control(user string) control.Control {
	return &ipc.Client{Dial: w.dial, Hello: w.hello(), User: user, Lost: w.link.since}
}

// Custody is what the shell worker has of the state directory through the
// primary, which refuses it to all others.
func (w *Worker) Custody() ipc.Custody { return ipc.Custody{Dial: w.dial, Hello: w.hello()} }

func (w *Worker) dial(ctx context.Context) (*net.UnixConn, error) {
	return inherit.DialUnix(ctx, filepath.Join(w.boot.Run, ipc.WorkerSocket))
}

// Main is the whole life of a worker process: fd is the descriptor of its boot
// message. It returns when run has returned and everything that it started has
// ended.
func Main(fd int, run Run) error {
	boot, err := readBoot(fd)
	if err != nil {
		return err
	}
	w, err := newWorker(boot)
	if err != nil {
		return err
	}
	defer w.leave()
	taken := make(chan struct{})
	w.wg.Go(func() { w.signals(taken) }) // taking them takes as long as the primary's answer
	err = w.join()
	<-taken
	if err != nil {
		return fmt.Errorf("join the cluster: %w", err)
	}
	w.wg.Go(w.attend)
	w.wg.Go(w.beat)
	return w.work(run)
}

// Leave is for a worker that ends by its own wish: it drains as if it had been
// asked to, after the primary has been told to send new connections elsewhere.
// What becomes of the slot is the pool's policy. In a worker that drains
// already it does nothing.
func (w *Worker) Leave() {
	if w.soft.Err() != nil {
		return
	}
	w.leaving.Store(true)
	_ = w.link.send(ipc.TypeLeaving, nil) // without a primary nobody sends work
	w.startDrain(ipc.Drain{Linger: true, LameDuck: control.DefaultLameDuck, Deadline: control.DefaultDrainTimeout})
}

// work runs the application's function and tells the primary how it ended.
func (w *Worker) work(run Run) error {
	err := run(w.soft, w)
	if w.soft.Err() != nil && errors.Is(err, w.soft.Err()) {
		err = nil // it ended because it was asked to
	}
	_ = w.link.send(ipc.TypeDrained, w.report.message()) // the exit tells as well
	return err
}

// readBoot reads who this process is.
func readBoot(fd int) (ipc.Boot, error) {
	var b ipc.Boot
	if err := unix.SetNonblock(fd, false); err != nil { // it holds the whole message
		return b, fmt.Errorf("read the boot message: %w", err)
	}
	f := os.NewFile(uintptr(fd), "boot")
	defer f.Close()
	if err := ipc.ReadBoot(f, &b); err != nil {
		return b, fmt.Errorf("read the boot message: %w", err)
	}
	nameProcess(filepath.Base(os.Args[0]))
	return b, nil
}

// nameProcess is for ps(1), which would show a pinned binary as a number. Most
// workers have been executed by their path and are named after it.
func nameProcess(name string) {
	var now [16]byte // TASK_COMM_LEN, with the zero at its end
	err := unix.Prctl(unix.PR_GET_NAME, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	if err == nil && unix.ByteSliceToString(now[:]) == name[:min(len(name), len(now)-1)] {
		return
	}
	_ = os.WriteFile("/proc/self/comm", []byte(name), 0) // only the name is missing
}

// newWorker opens the listeners.
func newWorker(b ipc.Boot) (*Worker, error) {
	w := &Worker{boot: b, listeners: make(map[string]*listener), local: make(chan *LocalCall), deaf: make(chan struct{})}
	w.soft, w.askDrain = context.WithCancel(context.Background())
	w.hard, w.cut = context.WithCancel(context.Background())
	w.ended, w.end = context.WithCancel(context.Background())
	for _, in := range b.Listeners {
		ln, err := inherit.Listener(in.FD)
		if err != nil {
			return nil, fmt.Errorf("listener %s: %w", in.Name, err)
		}
		w.listeners[in.Name] = newListener(in.Name, ln)
	}
	w.sockets.inherit(b.Sockets)
	return w, nil
}

// join opens the conversation with the primary. A worker that is asked to go
// meanwhile has nothing to drain, and joins no more.
func (w *Worker) join() error {
	ctx, cancel := context.WithTimeout(w.soft, joinTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, w.end)
	err := w.rejoin()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	return err
}

// joinTimeout is how long a new worker looks for its primary, which may just be
// replacing itself.
const joinTimeout = 10 * time.Second

func (w *Worker) leave() {
	w.startDrain(ipc.Drain{})
	w.cut()
	w.end()
	w.link.close()
	w.wg.Wait()
}

// withoutPrimary is how a worker drains that has nobody to ask it.
var withoutPrimary = ipc.Drain{LameDuck: control.DefaultLameDuck, Deadline: 10 * time.Second, Final: true}

// askedToDrain begins the drain, or hastens it, or names another heir.
func (w *Worker) askedToDrain(d ipc.Drain, to *ipc.Conn) {
	if to != nil {
		w.setHeir(to)
	}
	if w.startDrain(d); d.Final && d.Deadline > 0 {
		w.cutAfter(d.Deadline)
	}
}

// startDrain ends the worker's taking of work; only the first call counts.
func (w *Worker) startDrain(d ipc.Drain) {
	w.draining.Do(func() {
		w.drain = d
		w.askDrain()
		if d.Deadline > 0 {
			w.cutAfter(d.Deadline)
		}
		w.parted() // those that ended before do not count
		w.sayGoodbyes()
		w.wg.Go(w.stopListening)
	})
}

func (w *Worker) cutAfter(d time.Duration) {
	timer := time.AfterFunc(d, w.cut)
	context.AfterFunc(w.hard, func() { timer.Stop() })
}

// stopListening closes the listeners: at once when a successor accepts on the
// same sockets, else when what was on its way to them has come.
func (w *Worker) stopListening() {
	if w.drain.Linger {
		select {
		case <-time.After(w.drain.LameDuck):
		case <-w.hard.Done():
		}
	}
	for _, ln := range w.listeners {
		_ = ln.Close() // it may be closed already
	}
	w.sockets.close()
	w.closed.Store(true)
	close(w.deaf)
	_ = w.link.send(ipc.TypeClosed, nil) // without a primary nobody waits for it
}

// beat tells the primary that this program runs, as the hello did.
func (w *Worker) beat() {
	every := w.boot.Beat
	if every <= 0 {
		every = control.DefaultBeat
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-w.hard.Done():
			return
		}
		b := ipc.Beat{Connections: w.open(), Requests: w.requests.Load(), Hijacked: w.hijacked()}
		_ = w.link.send(ipc.TypeBeat, b) // a primary that does not read now may read later
	}
}

// signals takes the signals, says so by closing taken, and obeys them: TERM must
// not end a worker that serves. HUP does nothing but what the application wants
// of it: the kernel sends it, with CONT, to a worker that is stopped while its
// primary ends (setpgid(2)), and it would end the worker.
func (w *Worker) signals(taken chan<- struct{}) {
	c, hup := make(chan os.Signal, 2), make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(c)
	defer signal.Stop(hup)
	close(taken)
	w.heed(c)
}

// heed drains at the first TERM and cuts at the second. A first one that finds
// the worker draining cuts nothing: a primary that has just begun sends it to
// who has not said hello yet, and the drain message as well to who does so
// before the signal has come.
func (w *Worker) heed(terms <-chan os.Signal) {
	for asked := false; ; asked = true {
		select {
		case <-w.hard.Done():
			return
		case <-terms:
			if asked {
				w.cut()
				return
			}
			w.Leave()
		}
	}
}
