package primary

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/proc"
)

// Config is what a primary is told. All fields are required but Out.
type Config struct {
	Spec    control.Spec
	Version string
	PID     int
	Run     string // run directory, absolute
	State   string // state directory, absolute

	// What the workers execute: the path as typed (absolute, symbolic links
	// not resolved), arguments, environment and working directory.
	Binary string
	Argv   []string
	Env    []string
	Dir    string

	Starter Starter
	// Prepare, when not nil, is called once before the first worker is
	// started, with the address of the admin port; its error ends the start. It
	// is called again, from another goroutine, when the worker of the admin
	// port misses something.
	Prepare func(admin string, again bool) error
	Custody Custody           // of the state directory
	Out     io.Writer         // the console; nil: nothing is shown
	Console func(text string) // set by Run

	// Image is the descriptor of what an earlier image of this process left
	// when it executed this one ([ImageVariable]); 0: this is a start.
	Image int
	// Back is why a newer image gave up and executed this one again.
	Back string

	gather  time.Duration // for survivors to say hello; 0: gatherTimeout
	held    held          // descriptors, for an exec
	notify  func()        // takes the signals, again after an exec that failed
	pending func() bool   // a signal has come that nobody has acted on
}

// Starter starts processes and takes over those of an earlier primary.
type Starter interface {
	proc.Starter
	proc.Adopter
}

// Primary is a running primary.
type Primary struct {
	cfg     Config
	events  chan event
	ended   chan struct{} // closed when the loop has ended
	last    []*job        // the jobs as they were then
	told    chan struct{} // size 1: somebody has learned how the stop went
	log     *journal[control.LogLine]
	news    *journal[control.Event]
	key     []byte
	calls   calls
	server  *ipc.Server
	console *console
	talks   sync.WaitGroup // conversations

	preparing chan struct{} // size 1: a token for the one who prepares
	prepared  time.Time     // when that was last done; the token's
}

// Sizes of what is kept in memory.
const (
	keptLines  = 4096
	keptBytes  = 512 << 10
	keptEvents = 1024
)

// gcPercent trades a little work for memory: there is little garbage, and what
// a burst leaves is given back (see rest).
const gcPercent = 50

// spareThreads are more than the primary needs at any moment: those that run, a
// start of a process on each processor, writes that wait for a disk.
const spareThreads = 10

// Run is a whole life of a primary: it takes the state directory, opens the
// listeners, starts the pools and returns when the cluster has been stopped,
// with nothing left of it. ctx ends it as a stop does.
func Run(ctx context.Context, cfg Config) (err error) {
	debug.SetGCPercent(gcPercent)
	proc.SpareThreads(spareThreads)
	if cfg.Image > 0 {
		return succeed(ctx, cfg)
	}
	lock, err := takeState(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	sweep(cfg.State)
	p, err := newPrimary(cfg, lock)
	if err != nil {
		return err
	}
	r, err := loadRecord(cfg.State)
	if err != nil {
		p.console.say(fmt.Sprintf("what the last primary left is of no use: %v", err))
		r = nil
	}
	l, err := p.assemble(r, nil)
	if err == nil {
		err = p.prepare(l)
	}
	if err != nil {
		l.close()
		return err
	}
	workers, ctl, err := p.listen()
	if err != nil {
		l.close()
		return err
	}
	return p.serve(ctx, l, workers, ctl)
}

func newPrimary(cfg Config, lock *os.File) (*Primary, error) {
	key, err := readKey(filepath.Join(cfg.State, keyFile))
	if err != nil {
		return nil, err
	}
	fd, err := inherit.RawFD(lock)
	if err != nil {
		return nil, err
	}
	cfg.held.lock = fd
	epoch := uint64(time.Now().UnixNano())
	p := &Primary{
		cfg: cfg, key: key,
		events:    make(chan event, 64),
		ended:     make(chan struct{}),
		told:      make(chan struct{}, 1),
		preparing: make(chan struct{}, 1),
		log:       newJournal(epoch, keptLines, keptBytes, func(x control.LogLine) int { return len(x.Text) + 64 }),
		news:      newJournal(epoch, keptEvents, keptBytes, func(x control.Event) int { return len(x.Text) + 128 }),
	}
	out := p.cfg.Out
	if out == nil {
		out = io.Discard
	}
	p.console = newConsole(out, cfg.Spec.Name)
	p.server = ipc.NewServer(func(user string) control.Control { return as{p: p, user: user} })
	return p, nil
}

// post gives the loop an event; false once the loop has ended.
func (p *Primary) post(e event) bool {
	select {
	case p.events <- e:
		return true
	case <-p.ended:
		return false
	}
}

// close lets go of everything that the pools hold open.
func (l *loop) close() {
	for _, p := range l.pools {
		p.unlisten()
		for _, g := range p.generations {
			g.close()
		}
	}
}

// serve runs the loop, the sockets and the signals until the loop ends.
func (p *Primary) serve(ctx context.Context, l *loop, workers, ctl *net.UnixListener) error {
	con := p.console
	if err := l.hold(workers, ctl); err != nil {
		l.close()
		return err
	}
	signals := takeSignals()
	l.cfg.pending = func() bool { return len(signals) > 0 }
	l.cfg.notify = func() { signal.Notify(signals, primarySignals()...) }
	defer signal.Stop(signals)
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	go con.run() // its end is waited for in con.close, but not for a reader that has stopped
	wg.Go(func() { p.accept(ctx, workers, p.greetWorker) })
	wg.Go(func() { p.accept(ctx, ctl, p.greetLocal) })
	wg.Go(func() { p.signals(ctx, signals) })
	l.cfg.Console(l.listening())
	l.sweepGenerations()
	l.persist(true) // before the first spawn: the number of a generation is never used again
	l.rearm()
	l.alarm()
	l.run(p.events)
	p.last = l.jobs
	close(p.ended)
	p.farewell(l)
	l.spawn.wg.Wait() // every process has been reaped: only readers of output are left
	err := errors.Join(l.fatal, ignoreClosed(workers.Close()), ignoreClosed(ctl.Close()), p.unlink())
	wg.Wait() // from here on there are no new conversations
	p.lastWords()
	cancel()
	p.talks.Wait()
	l.close()
	con.close()
	return err
}

// farewellWait is how long the sockets stay for the one who asked for the stop.
const farewellWait = 500 * time.Millisecond

// farewell lets whoever asked for the stop learn how it went: the question
// comes on a connection of its own, and a small cluster ends faster.
func (p *Primary) farewell(l *loop) {
	if !l.awaited {
		return
	}
	select {
	case <-p.told:
	case <-time.After(farewellWait):
	}
}

// lastWords gives the conversations that carry the answer to a stop a moment.
func (p *Primary) lastWords() {
	done := make(chan struct{})
	go func() { p.talks.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Second):
	}
}

// listening is the start-up line: where everything is, ports as bound.
func (l *loop) listening() string {
	var parts []string
	for _, p := range l.pools {
		for _, g := range p.groups {
			name := p.spec.Name
			if name == l.cfg.Spec.Admin {
				name = "admin port"
			}
			parts = append(parts, name+" on "+g.Addr())
		}
	}
	return fmt.Sprintf("primary %d, %s", l.cfg.PID, strings.Join(append(parts, "state in "+l.cfg.State), ", "))
}

func (p *Primary) unlink() error {
	var errs []error
	for _, name := range []string{ipc.WorkerSocket, ipc.CtlSocket} {
		if err := os.Remove(filepath.Join(p.cfg.Run, name)); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// signals are a convenience: TERM and INT stop, HUP reloads, USR2 restarts.
// The sockets are the real way.
func (p *Primary) signals(ctx context.Context, c <-chan os.Signal) {
	for {
		select {
		case <-p.ended:
			return
		case <-ctx.Done():
			p.onSignal(func(l *loop) error { _, err := l.stop("the end of its context"); return err })
			return
		case s := <-c:
			p.onSignal(signalled(s))
		}
	}
}

func signalled(s os.Signal) func(*loop) error {
	by := "signal " + s.String()
	return func(l *loop) (err error) {
		switch s {
		case syscall.SIGHUP:
			_, err = l.reload(control.ReloadRequest{}, by)
		case syscall.SIGUSR2:
			_, err = l.restart(control.RestartRequest{}, by)
		default:
			_, err = l.stop(by)
		}
		return err
	}
}

func (p *Primary) onSignal(f func(*loop) error) {
	p.post(func(l *loop) {
		if err := f(l); err != nil {
			l.tell(control.Event{Kind: "signal.refused", Text: err.Error()})
		}
	})
}
