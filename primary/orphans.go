package primary

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/durable"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/proc"
)

// Orphan is a worker that a primary that is gone has left over.
type Orphan struct {
	Worker     string `json:"worker"`
	PID        int    `json:"pid"`
	Generation int    `json:"generation"`
	// Killed is why it was ended by force; empty: it obeyed.
	Killed string `json:"killed,omitempty"`

	process proc.Process
	drain   time.Duration // from TERM on
	kill    time.Duration // from the second TERM on
}

// EndOrphans ends what is left over of a cluster without a primary, all at the
// same time, each as a primary would, and calls tell with each that has gone.
// While it works there can be no primary; while there is one it returns
// [ErrTaken]. What remains is a cluster that was stopped.
//
// Workers are found by the record of the last primary and by their hello: a
// process that proves itself by neither its start time nor its secret is a
// stranger and is left alone.
func EndOrphans(ctx context.Context, cfg Config, tell func(Orphan)) error {
	if !used(cfg.State) {
		return nil
	}
	lock, err := takeState(cfg)
	if err != nil {
		return err
	}
	defer lock.Close()
	r, err := loadRecord(cfg.State)
	if err != nil {
		r, err = nil, fmt.Errorf("what the last primary left is of no use, only workers that say hello were found: %w", err)
	}
	s := &search{cfg: cfg, found: make(map[int]*Orphan)}
	s.recorded(r)
	err = errors.Join(err, s.greet(ctx))
	err = errors.Join(err, s.end(ctx, tell))
	if err != nil {
		return err
	}
	return forgetCluster(cfg, r)
}

// used tells whether a primary has ever run here.
func used(state string) bool {
	for _, name := range []string{recordFile, keyFile} {
		if _, err := os.Lstat(filepath.Join(state, name)); err == nil {
			return true
		}
	}
	return false
}

// forgetCluster leaves what a stop would: the next start begins anew.
func forgetCluster(cfg Config, r *record) error {
	for _, name := range []string{ipc.WorkerSocket, ipc.CtlSocket} {
		if err := os.Remove(filepath.Join(cfg.Run, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if r == nil || r.Stopped {
		return nil
	}
	data, err := ipc.Encode(r.stopped())
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(cfg.State, recordFile), data, 0o600)
}

// search looks for the workers that live.
type search struct {
	cfg   Config
	mu    sync.Mutex // protects found; a leaf
	found map[int]*Orphan
}

// recorded finds those in the record of this boot.
func (s *search) recorded(r *record) {
	if r == nil || r.BootID != bootID() {
		return
	}
	for _, p := range r.Pools {
		for i, seat := range p.Seats {
			for _, pr := range seat.processes() {
				s.take(Orphan{Worker: workerID(p.Name, i), PID: pr.PID, Generation: pr.Gen, drain: p.Drain, kill: p.Kill}, pr.Start)
			}
		}
	}
}

// take watches one that lives.
func (s *search) take(o Orphan, start uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.found[o.PID] != nil {
		return
	}
	p, err := s.cfg.Starter.Adopt(o.PID, start)
	if err != nil {
		return // it has gone, or the number is somebody else's
	}
	if proc.Ended(o.PID) {
		<-p.Wait() // nobody has reaped it
		return
	}
	if o.drain == 0 && o.kill == 0 { // of an earlier version, or in no record
		o.drain, o.kill = control.DefaultLameDuck+control.DefaultDrainTimeout, control.DefaultKillAfter
	}
	o.process = p
	s.found[o.PID] = &o
}

// end ends all that were found.
func (s *search) end(ctx context.Context, tell func(Orphan)) error {
	ended := make(chan *Orphan)
	for _, o := range s.found {
		go func() { o.end(ctx); ended <- o }() // all are waited for below
	}
	left := 0
	for range s.found {
		o := <-ended
		if o.lives() {
			left++
			continue
		}
		tell(*o)
	}
	switch {
	case ctx.Err() != nil && left > 0:
		return fmt.Errorf("%d workers were asked to end and still run: %w", left, context.Cause(ctx))
	case left > 0:
		return fmt.Errorf("%d workers do not end even by KILL", left)
	}
	return nil
}

// killWait is how long the kernel may take to end a process that was killed.
const killWait = 5 * time.Second

// end lets a worker drain, cuts it when its time is over, and kills it when it
// does not obey.
func (o *Orphan) end(ctx context.Context) {
	begun := time.Now()
	for _, step := range []struct {
		signal func() error
		wait   time.Duration
	}{
		{func() error { return o.process.Signal(sigTerm) }, o.drain},
		{func() error { return o.process.Signal(sigTerm) }, o.kill}, // the second one cuts
		{func() error {
			o.Killed = fmt.Sprintf("had not ended %v after TERM", time.Since(begun).Round(time.Millisecond))
			return o.process.Signal(sigKill)
		}, killWait},
	} {
		_ = step.signal() // it has gone: its exit tells
		select {
		case <-o.process.Wait():
			return
		case <-ctx.Done():
			return
		case <-time.After(step.wait):
		}
	}
}

func (o *Orphan) lives() bool { return o.process.Signal(0) == nil }
