package primary

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/durable"
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

	Starter proc.Starter
	// Prepare, when not nil, is called once before the first worker is
	// started, with the address of the admin port. Its error ends the start.
	Prepare func(admin string) error
	Out     io.Writer         // the console; nil: nothing is shown
	Console func(text string) // set by Run
}

// Primary is a running primary.
type Primary struct {
	cfg    Config
	events chan event
	ended  chan struct{} // closed when the loop has ended
	last   []*job        // the jobs as they were then
	told   chan struct{} // size 1: somebody has learned how the stop went
	log    *journal[control.LogLine]
	news   *journal[control.Event]
	key    []byte
	calls  calls
	server *ipc.Server
	talks  sync.WaitGroup // conversations
}

// Sizes of what is kept in memory.
const (
	keptLines  = 4096
	keptBytes  = 512 << 10
	keptEvents = 1024
)

// gcPercent keeps the primary small: it makes little garbage and has time.
const gcPercent = 25

// Run is a whole life of a primary: it takes the state directory, opens the
// listeners, starts the pools and returns when the cluster has been stopped,
// with nothing left of it. ctx ends it as a stop does.
func Run(ctx context.Context, cfg Config) (err error) {
	debug.SetGCPercent(gcPercent)
	lock, err := takeState(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	p, err := newPrimary(cfg)
	if err != nil {
		return err
	}
	l, err := p.assemble()
	if err != nil {
		return err
	}
	if err := p.prepare(l); err != nil {
		l.close()
		return err
	}
	return p.serve(ctx, l)
}

func (p *Primary) prepare(l *loop) error {
	admin := l.admin()
	if admin == "" || p.cfg.Prepare == nil {
		return nil
	}
	return p.cfg.Prepare(admin)
}

func newPrimary(cfg Config) (*Primary, error) {
	key, err := readKey(filepath.Join(cfg.State, "key"))
	if err != nil {
		return nil, err
	}
	epoch := uint64(time.Now().UnixNano())
	p := &Primary{
		cfg: cfg, key: key,
		events: make(chan event, 64),
		ended:  make(chan struct{}),
		told:   make(chan struct{}, 1),
		log:    newJournal(epoch, keptLines, keptBytes, func(x control.LogLine) int { return len(x.Text) + 64 }),
		news:   newJournal(epoch, keptEvents, keptBytes, func(x control.Event) int { return len(x.Text) + 128 }),
	}
	p.server = ipc.NewServer(func(user string) control.Control { return as{p, user} })
	return p, nil
}

// readKey reads the key of the workers' secrets, and makes it at the first start.
func readKey(path string) ([]byte, error) {
	key, _, err := durable.ReadSecret(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		key = make([]byte, 32)
		if _, err := rand.Read(key); err != nil {
			return nil, fmt.Errorf("make the key: %w", err)
		}
		return key, durable.WriteFile(path, key, 0o600)
	case err != nil:
		return nil, err
	case len(key) != 32:
		return nil, fmt.Errorf("%s: %d bytes, must be 32: remove it while no cluster runs", path, len(key))
	}
	return key, nil
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

// assemble makes the loop and opens the pools' listeners.
func (p *Primary) assemble() (*loop, error) {
	l := &loop{cfg: p.cfg, post: p.post, log: p.log, news: p.news, since: time.Now()}
	l.spawn = &spawner{cfg: p.cfg, key: p.key, log: p.log, slots: make(chan struct{}, runtime.GOMAXPROCS(0))}
	var err error
	if l.counter, err = openCounter(p.cfg.State); err != nil {
		return nil, err
	}
	for _, spec := range p.cfg.Spec.Pools {
		pool, err := p.openPool(spec.WithDefaults())
		if err != nil {
			l.close()
			return nil, err
		}
		l.pools = append(l.pools, pool)
	}
	return l, nil
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

func (p *Primary) openPool(spec control.PoolSpec) (*pool, error) {
	n := spec.Workers
	if n == control.Auto {
		n = autoWorkers()
	}
	pl := &pool{policy: policy{PoolSpec: spec, lasting: spec.BuiltIn}, spec: spec, target: n, configured: n}
	g, err := firstGeneration(p.cfg)
	if err != nil {
		return nil, err
	}
	pl.adopt(g)
	pl.gen = g.number
	for i, addr := range spec.Listen {
		listen, err := inherit.Parse(addr)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("pool %s: %w", spec.Name, err), g.binary.Close())
		}
		group, err := inherit.Open(listen, spec.Share)
		if err != nil {
			pl.unlisten()
			return nil, errors.Join(fmt.Errorf("pool %s: %w", spec.Name, err), g.binary.Close())
		}
		pl.groups = append(pl.groups, group)
		pl.names = append(pl.names, listenerName(listen.Name, spec.Name, i))
	}
	if err := pl.grow(n); err != nil {
		pl.unlisten()
		return nil, errors.Join(fmt.Errorf("pool %s: %w", spec.Name, err), g.binary.Close())
	}
	return pl, nil
}

// listenerName is how a worker asks for its listener: as named, or by the
// pool's name, with a number from the second on.
func listenerName(name, pool string, i int) string {
	switch {
	case name != "":
		return name
	case i == 0:
		return pool
	}
	return fmt.Sprintf("%s-%d", pool, i+1)
}

// serve runs the loop, the sockets and the signals until the loop ends.
func (p *Primary) serve(ctx context.Context, l *loop) error {
	out := p.cfg.Out
	if out == nil {
		out = io.Discard
	}
	con := newConsole(out, p.cfg.Spec.Name)
	l.cfg.Console = con.say
	l.spawn.show = func(worker, text string) { con.say(worker + ": " + quoted(text)) }
	workers, ctl, err := p.listen()
	if err != nil {
		l.close()
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	go con.run() // its end is waited for in con.close, but not for a reader that has stopped
	wg.Go(func() { p.accept(ctx, workers, p.greetWorker) })
	wg.Go(func() { p.accept(ctx, ctl, p.greetLocal) })
	wg.Go(func() { p.signals(ctx) })
	l.cfg.Console(l.listening())
	l.run(p.events)
	p.last = l.jobs
	close(p.ended)
	p.farewell(l)
	l.spawn.wg.Wait() // every process has been reaped: only readers of output are left
	err = errors.Join(ignoreClosed(workers.Close()), ignoreClosed(ctl.Close()), p.unlink())
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

// listen opens the two sockets of the run directory.
func (p *Primary) listen() (workers, ctl *net.UnixListener, err error) {
	workers, err = inherit.ListenUnix(filepath.Join(p.cfg.Run, ipc.WorkerSocket), 0o666)
	if err != nil {
		return nil, nil, err
	}
	ctl, err = inherit.ListenUnix(filepath.Join(p.cfg.Run, ipc.CtlSocket), 0o600)
	if err != nil {
		return nil, nil, errors.Join(err, workers.Close())
	}
	return workers, ctl, nil
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
func (p *Primary) signals(ctx context.Context) {
	c := make(chan os.Signal, 4)
	signal.Notify(c, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR2)
	defer signal.Stop(c)
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
			_, err = l.restart(by)
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

// firstGeneration is what this primary itself was started as.
func firstGeneration(cfg Config) (*generation, error) {
	b, err := proc.PinSelf(cfg.Binary)
	if err != nil {
		return nil, err
	}
	return &generation{binary: b, argv: cfg.Argv, env: cfg.Env, dir: cfg.Dir, since: time.Now()}, nil
}

// generation is what is on disk now: the path is resolved anew, so that a
// "current" link may point elsewhere.
func (cfg Config) generation() (*generation, error) {
	b, err := proc.Pin(cfg.Binary)
	if err != nil {
		return nil, err
	}
	if err := b.Check(); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return &generation{binary: b, argv: cfg.Argv, env: cfg.Env, dir: cfg.Dir, since: time.Now()}, nil
}
