package main

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/harness"
)

// stepClock steps the wall clock of the whole cluster, which must have no
// effect.
func (c *chaos) stepClock(context.Context) error {
	steps := []time.Duration{0, time.Hour, -time.Hour, 20 * time.Second, -20 * time.Second, 40 * 24 * time.Hour, -24 * time.Hour}
	d := steps[c.random.IntN(len(steps))]
	c.did("clock", "wall clock to %+v", d)
	return c.clock.step(d)
}

// breakProgram puts a program at the path that cannot come into service. A
// reload to it is refused and changes nothing.
func (c *chaos) breakProgram(ctx context.Context) error {
	names := slices.Sorted(maps.Keys(c.broken))
	name := names[c.random.IntN(len(names))]
	words := []string{"reload", "--timeout", "2s"}
	if name != "unready" && c.random.IntN(2) == 0 { // its self-check would take ten seconds
		words = []string{"restart"}
	}
	before, err := c.processes(ctx)
	if err != nil {
		return err
	}
	if err := c.put(c.broken[name]); err != nil {
		return err
	}
	c.did("broken", "the program is %s: %s", name, strings.Join(words, " "))
	out, refusal := c.orders.ctl(ctx, words...)
	if err := c.put(c.images[0]); err != nil {
		return err
	}
	if refusal == nil {
		c.wrong("%s of a program that is %s was not refused: %s", words[0], name, out)
	}
	after, err := c.processes(ctx)
	if err == nil && !maps.Equal(before, after) {
		c.wrong("a refused %s of a program that is %s changed %v to %v: %s", words[0], name, before, after, out)
	}
	return err
}

func (c *chaos) processes(ctx context.Context) (map[string]uint64, error) {
	workers, err := control.Get(ctx, c.client, control.WorkersQuery{})
	all := make(map[string]uint64)
	for _, w := range workers {
		if w.PID != 0 {
			all[w.ID] = w.Incarnation
		}
	}
	return all, err
}

// fillDisk leaves no room on the disk of the cluster: it goes on, and does what
// it is told.
func (c *chaos) fillDisk(ctx context.Context) error {
	if !c.mounted {
		return nil
	}
	ballast := filepath.Join(c.disk(), "ballast")
	if err := fill(ballast); err != nil {
		return err
	}
	c.did("disk", "the disk is full")
	for range 3 {
		words := [][]string{{"reload"}, {"scale", webPool, "4"}, {"scale", webPool, "3"}, {"restart", "--primary"}}[c.random.IntN(4)]
		c.did("", "ctl %s", strings.Join(words, " "))
		if out, err := c.orders.ctl(ctx, words...); err != nil && ctx.Err() == nil {
			c.wrong("on a full disk: %v: %s", err, out)
		}
	}
	c.did("", "the disk has room again")
	return errors.Join(os.Remove(ballast), c.recorded(ctx))
}

// recorded waits until what was done without room is in the record: the successor of
// a primary that is killed before knows only what was there.
func (c *chaos) recorded(ctx context.Context) error {
	file, since := filepath.Join(c.state(), "cluster"), time.Now()
	_, _ = c.orders.ctl(ctx, "scale", webPool, "3") // done or refused, it is on record
	ctx, cancel := context.WithTimeout(ctx, harness.Patience)
	defer cancel()
	return harness.Poll(ctx, func() bool {
		info, err := os.Stat(file)
		return err == nil && info.ModTime().After(since)
	})
}

func fill(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	for block := make([]byte, 1<<20); len(block) > 0; block = block[:len(block)/2] {
		for err == nil {
			_, err = f.Write(block)
		}
		if !errors.Is(err, unix.ENOSPC) {
			break
		}
		err = nil
	}
	return errors.Join(err, f.Close())
}

func (c *chaos) starvePrimary(ctx context.Context) error {
	return c.starve(ctx, "files-primary", c.primary.pid(), false)
}

func (c *chaos) starveShell(ctx context.Context) error {
	w, err := control.Get(ctx, c.client, control.WorkerQuery{ID: shellWorker})
	if err != nil {
		return err
	}
	return c.starve(ctx, "files-shell", w.PID, true)
}

// starve lets a process open nothing more for a while. What it is asked for
// then may fail, but ends.
func (c *chaos) starve(ctx context.Context, kind string, pid int, ssh bool) error {
	if pid == 0 || !harness.Has(pid, c.mark()) {
		return errGone
	}
	var was unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &was); err != nil {
		return err
	}
	files, _, err := usage(pid)
	if err != nil {
		return err
	}
	allowed := files + c.random.IntN(4)
	c.stir(showsIn)
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(allowed), Max: was.Max}, nil); err != nil {
		return err
	}
	c.did(kind, "process %d may have %d descriptors", pid, allowed)
	c.orders.give(ctx, "", ssh, "reload")
	c.orders.give(ctx, "", ssh, "scale", webPool, "5")
	err = harness.Pause(ctx, time.Duration(c.between(500, 2500))*time.Millisecond)
	c.did("", "process %d may have descriptors again", pid)
	c.stir(showsIn)
	err = errors.Join(err, unix.Prlimit(pid, unix.RLIMIT_NOFILE, &was, nil))
	if err != nil || pid != c.primary.pid() {
		return err
	}
	return c.recorded(ctx)
}
