package primary

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

// queueCheck finds out whether a worker that lives and is silent could have said
// hello. Other processes may fill the queue of worker.sock, or the primary itself
// may have stood still: a worker is not killed for that. It could have if a
// connection of ours, made at its deadline, has come through the same queue.
type queueCheck struct {
	begun   time.Time
	running bool
	passed  time.Time // zero: it has not come through
	told    bool      // an event said that the queue is full
}

// helloGrace is how long a worker has for its hello when the connections before
// ours have been accepted.
const helloGrace = time.Second

// heardSince reports whether all workers that wanted to say hello before t have
// been heard. Until that is known it is false, and the loop is woken later.
func (l *loop) heardSince(t time.Time) bool {
	p := &l.queue
	if p.passed.After(p.begun) && !p.begun.Before(t) {
		return time.Since(p.passed) >= helloGrace
	}
	if !p.running && (p.passed.After(p.begun) || time.Since(p.begun) >= l.cfg.patience()) {
		p.running, p.begun = true, time.Now()
		post, path, within := l.post, filepath.Join(l.cfg.Run, ipc.WorkerSocket), l.cfg.patience()
		l.spawn.wg.Go(func() {
			err := passQueue(path, within)
			post(func(l *loop) { l.queueChecked(err) })
		})
	}
	return false
}

func (l *loop) queueChecked(err error) {
	p := &l.queue
	p.running = false
	if err == nil || errors.Is(err, os.ErrNotExist) { // without a socket nobody will come
		p.passed, p.told = time.Now(), false
		l.wake(helloGrace + time.Millisecond)
		return
	}
	if !p.told {
		p.told = true
		l.tell(control.Event{Kind: control.EventClusterTrouble, Text: fmt.Sprintf("%s is crowded, workers that cannot reach it are waited for: %v", ipc.WorkerSocket, err)})
	}
	l.wake(time.Until(p.begun.Add(l.cfg.patience())))
}

// passQueue connects and waits until the connection has been accepted and refused.
func passQueue(path string, within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	c, err := inherit.DialUnix(ctx, path)
	if err != nil {
		return err
	}
	defer c.Close()
	until, _ := ctx.Deadline()
	if err := errors.Join(c.SetDeadline(until), c.CloseWrite()); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, c)
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return err
	}
	return nil // it was closed, in whatever way
}
