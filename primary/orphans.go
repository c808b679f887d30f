package primary

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/durable"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/proc"
)

// Orphan is a worker that a dead primary left over.
type Orphan struct {
	Worker     string `json:"worker"`
	PID        int    `json:"pid"`
	Generation int    `json:"generation"`
	// Killed is why it was ended by force; empty: it obeyed.
	Killed string `json:"killed,omitempty"`

	process proc.Process
	stop    syscall.Signal
	drain   time.Duration // from then on
	kill    time.Duration // from the TERM after it on
	spare   bool          // spare its descendants
	left    leftover      // as far as it is known
}

// EndOrphans ends what is left over of a cluster without a primary, all at the
// same time, each as a primary would, and calls tell for each that has gone. No
// primary can start meanwhile; while there is one it returns [ErrTaken].
// Afterwards the cluster is as after a stop.
//
// Workers are found by the record of the last primary and by their hello: a
// process that proves itself by neither its start time nor its secret is left
// alone.
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
		r, err = nil, fmt.Errorf("the record of the last primary cannot be used, only workers that say hello were found: %w", err)
	}
	s := &search{cfg: cfg, found: make(map[int]*Orphan)}
	s.recorded(r)
	err = errors.Join(err, s.greet(ctx, r))
	err = errors.Join(err, s.end(ctx, tell))
	if err != nil {
		return err
	}
	return forgetCluster(cfg, r)
}

// used reports whether a primary has ever run here.
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
	left  []*Orphan // have gone, and left something behind
}

// recorded finds those in the record of this boot.
func (s *search) recorded(r *record) {
	if r == nil || r.BootID != bootID() {
		return
	}
	for _, e := range r.Errands {
		s.left = append(s.left, &Orphan{left: e.Left, kill: e.Patience})
	}
	for _, p := range r.Pools {
		for i, slot := range p.Slots {
			for _, pr := range slot.processes() {
				s.take(Orphan{
					Worker: workerID(p.Name, i), PID: pr.PID, Generation: pr.Gen,
					stop: unix.SignalNum("SIG" + p.StopSignal), drain: p.Drain, kill: p.Kill, spare: p.Spare, left: leftover{Group: pr.Group},
				}, pr.Start)
			}
			for _, left := range slot.Left {
				s.left = append(s.left, &Orphan{left: left, kill: p.Kill})
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
	if err == nil && proc.Ended(o.PID) {
		<-p.Wait() // nobody has reaped it
		err = os.ErrProcessDone
	}
	if err != nil { // it has gone, or the pid is another process's
		s.left = append(s.left, &o)
		return
	}
	if o.drain == 0 && o.kill == 0 { // of an earlier version, or in no record
		o.drain, o.kill = control.DefaultLameDuck+control.DefaultDrainTimeout, control.DefaultKillAfter
	}
	if o.stop == 0 {
		o.stop = sigTerm
	}
	o.process = p
	s.found[o.PID] = &o
}

// end ends all that were found.
func (s *search) end(ctx context.Context, tell func(Orphan)) error {
	ended := make(chan *Orphan)
	for _, o := range s.found {
		go func() { o.end(ctx, s.cfg.Starter); ended <- o }() // all are waited for below
	}
	var ending sync.WaitGroup
	defer ending.Wait()
	for _, o := range s.left {
		ending.Go(func() { o.endLeft(s.cfg.Starter) })
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

// end lets a worker drain, cuts it at its deadline, and kills it if it does not
// obey.
func (o *Orphan) end(ctx context.Context, st Starter) {
	begun := time.Now()
	for _, step := range []struct {
		signal func() error
		wait   time.Duration
	}{
		{func() error { return o.process.Signal(o.stop) }, o.drain},
		{func() error { return o.process.Signal(sigTerm) }, o.kill},
		{func() error {
			o.Killed = fmt.Sprintf("had not ended %v after TERM", time.Since(begun).Round(time.Millisecond))
			return o.process.Signal(sigKill)
		}, killWait},
	} {
		if o.left.Group == "" && !o.spare {
			o.left.Processes = descendants(st, o.process, o.left.Processes)
		}
		_ = step.signal()
		select {
		case <-o.process.Wait():
			o.endLeft(st)
			return
		case <-ctx.Done():
			return
		case <-time.After(step.wait):
		}
	}
}

// endLeft ends what it has left behind.
func (o *Orphan) endLeft(st Starter) {
	if k, ok := st.(keeper); ok && !o.left.empty() {
		_, _ = k.End(o.left.Processes, o.left.Group, o.kill)
	}
}

func (o *Orphan) lives() bool { return o.process.Signal(0) == nil }
