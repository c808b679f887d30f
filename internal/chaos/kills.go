package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/harness"
)

// shellWorker is the slot of the admin port.
const shellWorker = "shell/0"

// showsIn is when the end of a process is known to the primary, on a busy
// machine.
const showsIn = time.Second

// target is a process of a slot.
type target struct {
	id  string
	pid int
	as  string // what it is there
}

// targets are the processes of the web pool: all, or those that serve.
func (c *chaos) targets(ctx context.Context, serving bool) ([]target, error) {
	workers, err := control.Get(ctx, c.client, control.WorkersQuery{})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errGone, err)
	}
	var all []target
	for _, w := range workers {
		if w.Pool != webPool || !c.watch.bears(w.ID) {
			continue
		}
		if w.PID != 0 && (!serving || w.State == control.Ready) {
			all = append(all, target{w.ID, w.PID, string(w.State)})
		}
		if w.Successor != nil && !serving {
			all = append(all, target{w.ID, w.Successor.PID, "successor"})
		}
		for _, p := range w.Outgoing {
			if !serving {
				all = append(all, target{w.ID, p.PID, "outgoing"})
			}
		}
	}
	return all, nil
}

func (c *chaos) pick(ctx context.Context, serving bool) (target, error) {
	all, err := c.targets(ctx, serving)
	if err != nil {
		return target{}, err
	}
	if len(all) == 0 {
		return target{}, errGone
	}
	t := all[c.random.IntN(len(all))]
	if !harness.Has(t.pid, c.mark()) {
		return target{}, errGone
	}
	return t, nil
}

// doom stops a worker for ever and notes what it holds.
func (c *chaos) doom(t target, shows time.Duration) error {
	c.stir(shows)
	c.watch.hit(t.id)
	if err := freeze(t.pid); err != nil {
		return err
	}
	held, err := connections(t.pid)
	if err != nil {
		return err
	}
	c.bury(victim{pid: t.pid, when: time.Now(), conns: held})
	return nil
}

func (c *chaos) killWorker(ctx context.Context) error {
	t, err := c.pick(ctx, false)
	if err != nil {
		return err
	}
	return c.slayWorker(t, "kill-worker")
}

func (c *chaos) slayWorker(t target, kind string) error {
	if err := c.doom(t, showsIn); err != nil {
		return err
	}
	c.did(kind, "kill -9 %s pid %d (%s)", t.id, t.pid, t.as)
	c.stir(showsIn)
	return unix.Kill(t.pid, unix.SIGKILL)
}

// hangWorker stops a worker and leaves it to the beats.
func (c *chaos) hangWorker(ctx context.Context) error {
	t, err := c.pick(ctx, true)
	if err != nil {
		return err
	}
	if err := c.doom(t, 2*lostAfter); err != nil {
		return err
	}
	c.did("hang-worker", "kill -STOP %s pid %d, for ever", t.id, t.pid)
	return nil
}

// pauseWorker stops a worker for a moment: nothing may be lost.
func (c *chaos) pauseWorker(ctx context.Context) error {
	t, err := c.pick(ctx, false)
	if err != nil {
		return err
	}
	if c.doomed(t.pid) {
		return nil
	}
	d := time.Duration(c.between(100, 1200)) * time.Millisecond
	c.did("pause-worker", "kill -STOP %s pid %d (%s) for %v", t.id, t.pid, t.as, d)
	if err := unix.Kill(t.pid, unix.SIGSTOP); err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	err = harness.Pause(ctx, d)
	if contErr := unix.Kill(t.pid, unix.SIGCONT); contErr != nil {
		return fmt.Errorf("%w: %w", errGone, contErr)
	}
	return err
}

func (c *chaos) killShell(ctx context.Context) error {
	w, err := control.Get(ctx, c.client, control.WorkerQuery{ID: shellWorker})
	if err != nil || w.PID == 0 || !c.watch.bears(shellWorker) {
		return ctx.Err() // there is no primary or no shell just now
	}
	if !harness.Has(w.PID, c.mark()) {
		return errGone
	}
	c.stir(showsIn)
	c.watch.hit(shellWorker)
	c.did("kill-shell", "kill -9 %s pid %d", shellWorker, w.PID)
	return unix.Kill(w.PID, unix.SIGKILL)
}

// killPrimary kills the primary, now and then a second time soon after the
// next one has begun, and a worker while there is none.
func (c *chaos) killPrimary(ctx context.Context) error {
	t, err := c.pick(ctx, false)
	alsoWorker := err == nil && c.random.IntN(3) == 0
	c.killThePrimary("kill-primary")
	if alsoWorker {
		// The end of a parent wakes the stopped ones among its children, with
		// SIGHUP and SIGCONT (setpgid(2)): they could accept again.
		if !c.primary.absent(ctx) {
			return ctx.Err()
		}
		return c.slayWorker(t, "")
	}
	if c.random.IntN(3) > 0 {
		return nil
	}
	for c.primary.pid() == 0 {
		if err := harness.Pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	if err := harness.Pause(ctx, time.Duration(c.between(0, 150))*time.Millisecond); err != nil {
		return err
	}
	c.killThePrimary("")
	return nil
}

func (c *chaos) killThePrimary(kind string) {
	d := time.Duration(c.between(0, 1500)) * time.Millisecond
	c.stir(d + showsIn)
	if pid := c.primary.pid(); c.primary.kill(d) {
		c.did(kind, "kill -9 the primary pid %d, the next one in %v", pid, d)
	}
}

func (c *chaos) killBoth(ctx context.Context) error {
	w, err := control.Get(ctx, c.client, control.WorkerQuery{ID: shellWorker})
	if err != nil || w.PID == 0 || !harness.Has(w.PID, c.mark()) || !c.watch.bears(shellWorker) {
		return ctx.Err()
	}
	c.killThePrimary("kill-both")
	c.watch.hit(shellWorker)
	c.did("", "kill -9 %s pid %d with it", shellWorker, w.PID)
	if err := unix.Kill(w.PID, unix.SIGKILL); err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}
