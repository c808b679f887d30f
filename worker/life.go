package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/entry"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/shellworker"
	"github.com/norestart/norestart/worker/internal/handover"
)

func init() { entry.Worker = func(fd int, run any) error { return live(fd, run.(Run)) } }

// live is the whole life of a worker process, see [entry.Worker].
func live(fd int, run Run) error {
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
	w.wg.Go(func() { w.signals(taken) }) // the primary's answer takes as long as taking them
	err = w.join()
	<-taken
	if err != nil {
		return fmt.Errorf("join the cluster: %w", err)
	}
	w.wg.Go(w.keepLinked)
	w.wg.Go(w.beat)
	return w.work(run)
}

// readBoot reads what the primary told this process at its start.
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
// workers were executed by their path and have its name.
func nameProcess(name string) {
	var now [16]byte // TASK_COMM_LEN, with the zero at its end
	err := unix.Prctl(unix.PR_GET_NAME, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	if err == nil && unix.ByteSliceToString(now[:]) == name[:min(len(name), len(now)-1)] {
		return
	}
	_ = os.WriteFile("/proc/self/comm", []byte(name), 0)
}

// newWorker opens the listeners.
func newWorker(b ipc.Boot) (*Worker, error) {
	w := &Worker{boot: b, calls: make(chan *shellworker.Call), upstreams: make(chan ipc.Upstreams), closed: make(chan struct{})}
	w.modules.comes = make(chan *ipc.Conn, 1)
	w.config.now, w.config.want = b.Config, b.Config
	w.serving, w.stopServing = context.WithCancel(context.Background())
	w.working, w.cut = context.WithCancel(context.Background())
	w.living, w.end = context.WithCancel(context.Background())
	w.connections = handover.New(w.working, w.wg.Go)
	for _, in := range b.Listeners {
		ln, err := inherit.Listener(in.FD)
		if err != nil {
			return nil, fmt.Errorf("listener %s: %w", in.Name, err)
		}
		w.connections.Listen(in.Name, ln)
	}
	w.sockets.inherit(b.Sockets)
	w.mail.outbox.Dial, w.mail.outbox.Lasting = w.dialMail, lasting
	w.mail.outbox.Living, w.mail.outbox.Go = w.working, w.wg.Go
	return w, nil
}

// joinTimeout is how long a new worker looks for its primary, which may be
// replacing itself.
const joinTimeout = 10 * time.Second

// join opens the conversation with the primary. A worker that is asked to end
// meanwhile has nothing to drain, and does not join.
func (w *Worker) join() error {
	ctx, cancel := context.WithTimeout(w.serving, joinTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, w.end)
	err := w.rejoin()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	return err
}

// work runs the application's function and tells the primary how it ended.
func (w *Worker) work(run Run) error {
	err := run(shellworker.With(w.serving, shellworker.Access{
		Files: ipc.Broker{Dial: w.dial, Hello: w.hello()}, Calls: w.calls, Settings: w.boot.Settings,
		Upstreams: w.upstreams, Left: func(l ipc.Left) { _ = w.link.send(ipc.TypeLeft, l) },
	}), w)
	if w.serving.Err() != nil && errors.Is(err, w.serving.Err()) {
		err = nil // it ended because it was asked to
	}
	if failed := w.finalize(err); failed != nil {
		err = errors.Join(err, failed)
	}
	if err == nil && w.serving.Err() != nil && w.drain == w.orphanDrain() {
		err = errNoPrimary // no primary asked for it: its slot has to be filled again
	}
	_ = w.link.send(ipc.TypeDrained, w.drained()) // the exit tells as well
	return err
}

func (w *Worker) leave() {
	w.startDrain(ipc.Drain{})
	w.cut()
	w.end()
	w.link.close()
	w.wg.Wait()
	w.modules.behind.close()
}

// beat tells the primary that this process runs, as the hello did.
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
		case <-w.working.Done():
			return
		}
		c := w.connections
		b := ipc.Beat{Connections: c.Open(), Requests: c.Counts.Requests.Load(), Hijacked: c.Hijacked()}
		_ = w.link.send(ipc.TypeBeat, b) // a primary that does not read now may read later
	}
}

// signals takes the signals, then closes taken, and obeys them: TERM must not end
// a worker that serves. HUP is left to the application: the kernel sends it, with
// CONT, to a worker that is stopped while its primary ends (setpgid(2)), and it
// would end the worker.
func (w *Worker) signals(taken chan<- struct{}) {
	c, hup := make(chan os.Signal, 2), make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(c)
	defer signal.Stop(hup)
	close(taken)
	w.obeyTerms(c)
}

// obeyTerms drains at the first TERM and cuts at the second. If the worker drains
// already, the first one cuts nothing: a new primary sends TERM to workers that
// have not said hello, and also the drain message if the hello comes before the
// signal.
func (w *Worker) obeyTerms(terms <-chan os.Signal) {
	for asked := false; ; asked = true {
		select {
		case <-w.working.Done():
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
