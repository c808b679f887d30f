package primary

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/proc"
)

// assemble makes the loop and opens the pools' listeners.
func (p *Primary) assemble(r *record, im *image) (*loop, error) {
	l := &loop{cfg: p.cfg, post: p.post, log: p.log, news: p.news, calls: &p.calls, file: p.file, call: caller{p: p}.call, con: p.console, since: time.Now(), began: monotonic(), bootID: bootID(), im: im}
	if r != nil {
		r.rebase(l.since, l.began, l.bootID)
	}
	l.cfg.Console = p.console.say
	l.saver = &saver{path: filepath.Join(p.cfg.State, recordFile)}
	l.spawn = &spawner{
		cfg: p.cfg, key: p.key, log: p.log, workers: p.workers, group: proc.DelegatedCgroup(), turns: make(chan struct{}, runtime.GOMAXPROCS(0)),
		show: func(worker, text string) { p.console.say(worker + ": " + quoted(text)) },
	}
	var err error
	if im != nil && im.Counter.Reserved > 0 {
		l.counter = continueCounter(p.cfg.State, im.Counter)
	} else if l.counter, err = openCounter(p.cfg.State); err != nil {
		return l, err
	}
	l.before = l.counter.last
	if l.app, err = p.appConfig(r, l.bootID); err != nil {
		return l, err
	}
	for _, spec := range p.cfg.Spec.Pools {
		if err := p.openPool(l, spec.WithDefaults(), r); err != nil {
			return l, err
		}
	}
	l.appoint()
	if r != nil && !r.Stopped {
		if r.BootID == l.bootID {
			l.dismiss(r)
			l.endErrands(r.Errands)
		}
		l.resume(r)
	}
	return l, nil
}

// openPool makes one pool: as the last primary left it, or anew.
func (p *Primary) openPool(l *loop, spec control.PoolSpec, r *record) error {
	pl := newPool(spec, p.cfg.Settings[spec.Name], workersOf(spec))
	pl.given = p.given
	if pl.protocol == nil {
		return fmt.Errorf("pool %s: unknown protocol %q", spec.Name, spec.Protocol)
	}
	l.pools = append(l.pools, pl)
	old := r.pool(spec.Name)
	if old != nil {
		pl.lastGen = old.LastGen
		pl.restoreGenerations(*old, l.im)
		pl.runs = old.Runs.appointment()
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
		if pl.adoption != nil && len(old.Listen) > 0 {
			pl.generation(pl.gen).listen = old.Listen // for living workers whose generation is lost
		}
	}
	for _, s := range pl.slots {
		if pl.generation(s.gen) == nil {
			s.gen = pl.gen // no generation of its own is left to be started again
		}
	}
	if pl.adoption != nil {
		return nil
	}
	return l.listenOrWait(pl, r)
}

// listenOrWait opens the sockets of a pool without known survivors.
//
// The record may be missing, or older than the workers (a full disk, or written
// just before the first worker). If there have been primaries, workers of the
// last one may hold the address, this one or the recorded one, and give it back.
func (l *loop) listenOrWait(pl *pool, r *record) error {
	perhaps := (r == nil || !r.Stopped) && l.before > 0
	elsewhere := perhaps && len(pl.open) == 0 && pl.moved()
	var err error
	if !elsewhere {
		err = pl.reopen()
	}
	if elsewhere || perhaps && errors.Is(err, unix.EADDRINUSE) {
		now := time.Now()
		pl.adoption = &adoption{until: now.Add(blindTimeout), last: now.Add(l.cfg.patience()), blind: true}
		return nil
	}
	return err
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

// firstGeneration is what this primary itself was started as, or the pool's own
// program: the recorded generation, if its content is the same.
func (l *loop) firstGeneration(p *pool) error {
	pin := proc.Pin
	if p.spec.Program == nil {
		pin = proc.PinSelf
	}
	g, err := l.cfg.pinned(p.spec, pin)
	if err != nil {
		return fmt.Errorf("pool %s: %w", p.spec.Name, err)
	}
	if n := len(p.generations); n > 0 && p.generations[n-1].same(g) && !p.generations[n-1].givenUp() {
		g.close()
		p.gen, p.generations[n-1].listen = p.generations[n-1].number, p.spec.Listen
		return nil
	}
	l.addGeneration(p, g)
	p.gen = g.number
	p.tidy()
	return nil
}
