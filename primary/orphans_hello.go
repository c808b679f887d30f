package primary

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/dirs"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/proc"
)

// helloWait is how long workers in no record are waited for: they look for a
// primary every few ten milliseconds.
const helloWait = time.Second

// greet waits for workers that look for a primary, and takes those that prove
// themselves. They get no answer: they look again.
func (s *search) greet(ctx context.Context, r *record) error {
	key, _, err := findKey(s.cfg.State, r)
	if errors.Is(err, os.ErrNotExist) || key == nil && err == nil {
		return nil // nobody could prove anything
	}
	if err != nil {
		return err
	}
	if err := makeRun(s.cfg.Run); err != nil {
		return err
	}
	ln, err := inherit.ListenUnix(filepath.Join(s.cfg.Run, ipc.WorkerSocket), 0o666)
	if err != nil {
		return fmt.Errorf("wait for workers in no record: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, helloWait)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })()
	a := s.admission()
	for {
		c, err := ln.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return nil // the time is over
		}
		if err != nil {
			return fmt.Errorf("wait for workers in no record: %w", err)
		}
		conn := ipc.NewConn(c)
		leave, err := a.admit(c, conn)
		if err != nil {
			_ = conn.Close() // there are too many of its kind
			continue
		}
		wg.Go(func() {
			defer leave()
			s.hear(ctx, conn, key)
		})
	}
}

// makeRun makes a deleted run directory again: its workers know no other place.
func makeRun(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	err := os.MkdirAll(filepath.Dir(dir), 0o711)
	if err == nil {
		err = dirs.Make(dir, 0o711) // workers may be of other users
	}
	if err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	return nil
}

// admission has places for the users of the recorded workers: those in no record
// are of the same pools.
func (s *search) admission() *admission {
	var users []uint32
	for pid := range s.found {
		var st unix.Stat_t
		if unix.Stat(fmt.Sprintf("/proc/%d", pid), &st) == nil { // else it has just gone
			users = append(users, st.Uid)
		}
	}
	return newAdmission(users)
}

// hear takes a peer that is a worker of this cluster.
func (s *search) hear(ctx context.Context, conn *ipc.Conn, key []byte) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	h, err := hello(conn)
	if err != nil || h.Purpose != ipc.PurposeControl || !hmac.Equal(h.Secret, secret(key, h.Worker, h.Generation, h.Incarnation)) {
		return
	}
	cred, err := conn.Peer()
	if err != nil {
		return
	}
	if start, err := proc.StartTime(int(cred.Pid)); err == nil {
		s.take(Orphan{Worker: h.Worker, PID: int(cred.Pid), Generation: h.Generation}, start)
	}
}
