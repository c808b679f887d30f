package primary

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/durable"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/proc"
)

// keyFile holds the key of the workers' secrets.
const keyFile = "key"

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

// assemble makes the loop and opens the pools' listeners.
func (p *Primary) assemble(r *record, im *image) (*loop, error) {
	l := &loop{cfg: p.cfg, post: p.post, log: p.log, news: p.news, calls: &p.calls, con: p.console, since: time.Now(), began: monotonic(), bootID: bootID(), im: im}
	if r != nil {
		r.rebase(l.since, l.began, l.bootID)
	}
	l.cfg.Console = p.console.say
	l.saver = &saver{path: filepath.Join(p.cfg.State, recordFile)}
	l.spawn = &spawner{
		cfg: p.cfg, key: p.key, log: p.log, slots: make(chan struct{}, runtime.GOMAXPROCS(0)),
		show: func(worker, text string) { p.console.say(worker + ": " + quoted(text)) },
	}
	var err error
	if im != nil && im.Counter.Reserved > 0 {
		l.counter = continueCounter(p.cfg.State, im.Counter)
	} else if l.counter, err = openCounter(p.cfg.State); err != nil {
		return l, err
	}
	l.before = l.counter.last
	for _, spec := range p.cfg.Spec.Pools {
		if err := p.openPool(l, spec.WithDefaults(), r); err != nil {
			return l, err
		}
	}
	if r != nil && !r.Stopped {
		if r.BootID == l.bootID {
			l.dismiss(r)
		}
		l.resume(r)
	}
	return l, nil
}

// openPool makes one pool: as the last primary left it, or anew.
func (p *Primary) openPool(l *loop, spec control.PoolSpec, r *record) error {
	n := spec.Workers
	if n == control.Auto {
		n = autoWorkers()
	}
	pl := &pool{policy: policy{PoolSpec: spec, lasting: spec.BuiltIn}, spec: spec, target: n, configured: n}
	l.pools = append(l.pools, pl)
	if old := r.pool(spec.Name); old != nil {
		pl.lastGen = old.LastGen
		pl.restoreGenerations(*old, l.im)
		l.keepAgain(pl)
		if !r.Stopped {
			if err := l.restore(pl, *old, r.BootID == l.bootID); err != nil {
				return fmt.Errorf("pool %s: %w", spec.Name, err)
			}
		}
	}
	if pl.generation(pl.gen) == nil {
		if err := l.firstGeneration(pl); err != nil {
			return err
		}
	}
	for _, s := range pl.seats {
		if pl.generation(s.gen) == nil {
			s.gen = pl.gen // nothing of its own is left to be started again
		}
	}
	if pl.gathering != nil {
		return nil
	}
	return l.listenOrWait(pl, r)
}

// listenOrWait opens the sockets of a pool of which nobody is known to live.
//
// There may be no record, or one that knows of nobody, as one from before the
// disk was full, or written just before the first worker was. But if there have
// been primaries, perhaps workers of the last one hold the address, this one or
// that on record, and give it back.
func (l *loop) listenOrWait(pl *pool, r *record) error {
	perhaps := (r == nil || !r.Stopped) && l.before > 0
	elsewhere := perhaps && len(pl.groups) == 0 && pl.moved()
	var err error
	if !elsewhere {
		err = pl.listen()
	}
	if elsewhere || perhaps && errors.Is(err, unix.EADDRINUSE) {
		pl.gathering = &gathering{until: time.Now().Add(blindTimeout), blind: true}
		return nil
	}
	return err
}

// moved tells whether the pool was somewhere else than it is configured.
func (p *pool) moved() bool {
	return len(p.addrs) > 0 && !slices.Equal(p.addrs, p.spec.Listen)
}

// listen opens the pool's listeners, unless survivors gave them back, and makes
// sure that each slot has its sockets.
func (p *pool) listen() (err error) {
	if len(p.groups) == 0 {
		names, addrs := p.names, p.addrs
		defer func() {
			if err != nil && len(p.groups) == 0 {
				p.names, p.addrs = names, addrs // where survivors may still be
			}
		}()
		p.names, p.addrs = nil, nil
	}
	for i, addr := range p.spec.Listen {
		if i < len(p.groups) {
			continue
		}
		listen, err := inherit.Parse(addr)
		if err != nil {
			return fmt.Errorf("pool %s: %w", p.spec.Name, err)
		}
		group, err := inherit.Open(listen, p.spec.Share)
		if err != nil {
			return fmt.Errorf("pool %s: %w", p.spec.Name, err)
		}
		p.groups = append(p.groups, group)
		p.names = append(p.names, listenerName(listen.Name, p.spec.Name, i))
		p.addrs = append(p.addrs, addr)
	}
	if err := p.grow(max(p.target, 1)); err != nil {
		return fmt.Errorf("pool %s: %w", p.spec.Name, err)
	}
	return nil
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

// firstGeneration is what this primary itself was started as: the generation
// of last time, if its content is the same.
func (l *loop) firstGeneration(p *pool) error {
	b, err := proc.PinSelf(l.cfg.Binary)
	if err != nil {
		return err
	}
	g := &generation{binary: b, argv: l.cfg.Argv, env: l.cfg.Env, dir: l.cfg.Dir, since: time.Now()}
	if n := len(p.generations); n > 0 && p.generations[n-1].same(g) && !p.generations[n-1].burned {
		g.close()
		p.gen = p.generations[n-1].number
		return nil
	}
	l.adoptGeneration(p, g)
	p.gen = g.number
	p.tidy()
	return nil
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
