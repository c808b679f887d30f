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
	"sync/atomic"
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

	// Program is the path of the main package; empty: unknown.
	Program string
	// Adopt takes the state of another program over.
	Adopt bool

	Starter Starter
	// Prepare, if not nil, is called once before the first worker is started,
	// with the address of the admin port; its error ends the start. It is called
	// again, from another goroutine, when a shell worker misses something.
	Prepare func(admin string, again bool) error
	Broker  Broker // of the state directory
	// Settings are sent to the workers of a pool, by its name, if their program
	// does not know them.
	Settings map[string][]byte
	// Reread, if not nil, reads Spec and Settings anew: a reload asks for what its
	// pools execute, and where. It is called beside the loop, and may hang.
	Reread func() (Configuration, error)
	// ReadApp, if not nil, reads the configuration of the application, as JSON: once
	// at the start, and again for each reload of it. It may hang.
	ReadApp func() ([]byte, error)
	// Clock, if not nil, reads a schedule and returns what its next time after
	// another one is; zero: it has none. Without it no pool has a schedule.
	Clock func(schedule string) (next func(after time.Time) time.Time, err error)
	// Settled, if not nil, is called once, when each worker is ready or has been
	// given up.
	Settled func() error
	Out     io.Writer         // the console; nil: nothing is shown
	Console func(text string) // set by Run

	// Image is the descriptor of what an earlier image of this process left
	// when it executed this one ([ImageVariable]); 0: this is a start.
	Image int
	// Back is why a newer image gave up and executed this one again.
	Back string

	adoption time.Duration // for survivors to say hello; 0: adoptionTimeout
	held     held          // descriptors, for an exec
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
	begun   atomic.Bool   // the loop takes events
	ended   chan struct{} // closed when the loop has ended
	log     *eventLog[control.LogLine]
	news    *eventLog[control.Event]
	key     []byte
	calls   calls
	console *console
	talks   sync.WaitGroup // conversations
	workers *admission     // of worker.sock
	given   *given         // sockets of its own manager; nil: none
	file    *reader[Configuration]
	app     *reader[[]byte] // of the application

	prepared        chan time.Time // size 1: when that was last done; held by the goroutine that prepares
	preparing       sync.Mutex     // a leaf; protects nextPreparation
	nextPreparation *preparation   // has not begun; nil: there is none
}

// Sizes of what is kept in memory.
const (
	keptLines  = 4096
	keptBytes  = 512 << 10
	keptEvents = 1024
)

// gcPercent trades a little work for memory: there is little garbage, and the
// memory of a burst is given back (see trim).
const gcPercent = 50

// spareThreads are more than the primary needs at any moment: those that run, a
// start of a process on each processor, writes that wait for a disk.
const spareThreads = 10

// Run is the whole life of a primary: it takes the state directory, opens the
// listeners, starts the pools and returns when the cluster has been stopped and
// nothing is left of it. ctx ends it as a stop does.
func Run(ctx context.Context, cfg Config) (err error) {
	debug.SetGCPercent(gcPercent)
	proc.SpareThreads(spareThreads)
	if cfg.Image > 0 {
		return succeed(ctx, cfg)
	}
	given := takeGiven() // before anything is started, which would inherit them
	lock, err := takeState(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	sweep(cfg.State)
	r, unread := loadRecord(cfg.State)
	p, err := newPrimary(cfg, lock, r)
	if err != nil {
		return err
	}
	if unread != nil {
		p.console.say(fmt.Sprintf("the record of the last primary cannot be used: %v", unread))
	}
	if err := p.checkProgram(r); err != nil {
		return err
	}
	p.given = given
	l, err := p.assemble(r, nil)
	if err == nil {
		given.unused(l)
		err = p.checkFirst(ctx, l)
	}
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

func newPrimary(cfg Config, lock *os.File, r *record) (*Primary, error) {
	cfg = cfg.goingOn(r)
	key, err := takeKey(cfg.State, r)
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
		events:   make(chan event, 64),
		ended:    make(chan struct{}),
		prepared: make(chan time.Time, 1),
		file:     newReader(cfg.Reread, "norestart check"),
		app:      newReader(cfg.ReadApp, "config diff"),
		workers:  newAdmission(poolUsers(cfg.Spec.Pools)),
		log:      newEventLog(epoch, keptLines, keptBytes, func(x control.LogLine) int { return len(x.Text) + 64 }),
		news:     newEventLog(epoch, keptEvents, keptBytes, func(x control.Event) int { return len(x.Text) + 128 }),
	}
	out := p.cfg.Out
	if out == nil {
		out = io.Discard
	}
	if k, ok := cfg.Starter.(kinship); ok {
		k.BeforeReap(p.goesOn)
	}
	p.prepared <- time.Time{}
	p.console = newConsole(out, cfg.Spec.Name)
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

func (l *loop) close() {
	for _, p := range l.pools {
		p.unlisten()
		for _, g := range p.generations {
			g.close()
		}
	}
	l.removeFiles()
}

// serve runs the loop, the sockets and the signals until the loop ends.
func (p *Primary) serve(ctx context.Context, l *loop, workers, ctl *net.UnixListener) error {
	con := p.console
	var err error
	l.hearing, err = p.openHearing(l.im)
	if err == nil {
		err = l.hold(workers, ctl)
	}
	if err != nil {
		l.close()
		return errors.Join(err, l.hearing.close())
	}
	signals := takeSignals()
	defer signal.Stop(signals)
	ctx, hangUp := context.WithCancel(ctx)
	requests, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg, reaping sync.WaitGroup
	go con.run() // con.close waits for its end, but not for a reader that has stopped
	wg.Go(func() { p.accept(ctx, requests, workers, p.workers, p.greetWorker) })
	if l.hearing != nil {
		wg.Go(func() { l.hearing.run(p.post) })
	}
	wg.Go(func() { p.accept(ctx, requests, ctl, newAdmission(nil), p.greetLocal) })
	reaping.Go(func() { p.reapStrangers(requests) }) // all children of the image before have been adopted
	l.cfg.Console(l.listening())
	l.sweepGenerations()
	l.persist(true) // before the first spawn: a generation's number is never used again
	l.rearm()
	l.alarm()
	l.answerAll()
	p.begun.Store(true)
	l.run(ctx, p.events, signals)
	close(p.ended)
	l.spawn.wg.Wait() // every process has been reaped: only readers of output are left
	err = errors.Join(l.fatal, ignoreClosed(workers.Close()), ignoreClosed(ctl.Close()), l.hearing.close(), p.unlink())
	wg.Wait() // from here on there are no new conversations
	cancel()  // a followed job has ended, and its end is on its way
	reaping.Wait()
	last := time.AfterFunc(lastWords, hangUp)
	p.talks.Wait()
	last.Stop()
	hangUp()
	l.close()
	con.close()
	return err
}

// lastWords is how long a peer may take to read how a stop went.
const lastWords = time.Second

// reaper is a starter that reaps processes that it has not started.
type reaper interface {
	ReapStrangers(ctx context.Context) error
}

func (p *Primary) reapStrangers(ctx context.Context) {
	r, ok := p.cfg.Starter.(reaper)
	if !ok {
		return
	}
	if err := r.ReapStrangers(ctx); err != nil {
		p.post(func(l *loop) { l.tell(control.Event{Kind: control.EventClusterTrouble, Text: err.Error()}) })
	}
}

// listening is the start-up line: where everything is, ports as bound.
func (l *loop) listening() string {
	var parts []string
	for _, p := range l.pools {
		for _, o := range p.open {
			name := p.spec.Name
			if name == l.cfg.Spec.Admin {
				name = "admin port"
			}
			parts = append(parts, name+" on "+o.group.Addr())
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

// signalled handles a signal: TERM and INT stop, HUP reloads, USR2 restarts.
// Signals are a convenience; the sockets are the real way.
func (l *loop) signalled(s os.Signal) {
	var err error
	switch by := "signal " + s.String(); s {
	case syscall.SIGHUP:
		go l.reloadAnew(control.ReloadRequest{}, by, func(err error) control.Event {
			return control.Event{Kind: control.EventSignalRefused, Text: err.Error()}
		})
	case syscall.SIGUSR2:
		_, err = l.restart(control.RestartRequest{}, by)
	default:
		_, err = l.stop(by)
	}
	if err != nil {
		l.tell(control.Event{Kind: control.EventSignalRefused, Text: err.Error()})
	}
}

// reloadAnew reads the configuration, and then reloads pools; refused is the event
// of why not.
func (l *loop) reloadAnew(r control.ReloadRequest, by string, refused func(error) control.Event) {
	now, err := l.file.now(context.Background())
	l.post(func(l *loop) {
		if err == nil {
			_, err = l.reload(r, by, now)
		}
		if err != nil {
			l.tell(refused(err))
		}
	})
}
