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

	"github.com/norestart/norestart/internal/durable"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/proc"
)

const (
	// helloWait is how long workers that stand in no record are waited for: they
	// look for a primary every few ten milliseconds.
	helloWait = time.Second
	// maxHellos is how many are read at once; further ones wait.
	maxHellos = 64
)

// greet waits for the workers that look for a primary, and takes in those that
// prove themselves. They are given no answer: they look again.
func (s *search) greet(ctx context.Context) error {
	key, _, err := durable.ReadSecret(filepath.Join(s.cfg.State, keyFile))
	if errors.Is(err, os.ErrNotExist) {
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
	places := make(chan struct{}, maxHellos)
	for {
		c, err := ln.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return nil // the time is over
		}
		if err != nil {
			return fmt.Errorf("wait for workers in no record: %w", err)
		}
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			s.hear(ctx, c, key)
		})
	}
}

// makeRun makes a run directory that somebody has deleted: its workers know no
// other place.
func makeRun(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	return os.Chmod(dir, 0o711) // whatever the umask is: workers may be of other users
}

// hear takes in who speaks, if it is a worker of this cluster.
func (s *search) hear(ctx context.Context, c *net.UnixConn, key []byte) {
	conn := ipc.NewConn(c)
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
