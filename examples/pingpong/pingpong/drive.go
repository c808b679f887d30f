package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/examples/pingpong"
)

// Files in the directory.
const (
	paceFile    = "pace"        // its size: how many rallies each slot may have begun
	unaskedFile = "no-reload"   // no message asks for a reload
	logFile     = "cluster.log" // what the cluster has written
)

// driver is beside the cluster.
type driver struct {
	options
	log     *os.File
	primary *exec.Cmd
	ended   chan struct{} // closed when the primary has ended
	usual   time.Duration // how long an event takes
	killed  int           // workers
}

// drive runs the cluster, does to it what was asked, and compares the journals.
func drive(ctx context.Context, o options) (ok bool, err error) {
	d := &driver{options: o, usual: time.Second}
	if err := d.furnish(); err != nil {
		return false, err
	}
	defer d.log.Close()
	began := time.Now()
	runErr := d.run(ctx)
	if runErr != nil {
		runErr = errors.Join(runErr, d.end(), fmt.Errorf("see %s", d.log.Name()))
	} else {
		fmt.Printf("%d reloads, %d execs, %d kills of the primary, %d of workers in %v\n",
			o.reloads, o.execs, o.kills, o.workerKills, time.Since(began).Round(time.Millisecond))
	}
	all, err := pingpong.Read(d.dir)
	if err != nil {
		return false, errors.Join(runErr, err)
	}
	result := pingpong.Compare(all)
	fmt.Print(result.Report())
	return result.OK(), runErr
}

func (d *driver) furnish() (err error) {
	if _, err := exec.LookPath(d.norestart); err != nil {
		return fmt.Errorf("the program norestart gives the commands: name it with --norestart: %w", err)
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	if left, err := os.ReadDir(d.dir); err != nil || len(left) > 0 {
		return errors.Join(err, fmt.Errorf("%s is not empty: name a new directory with --dir", d.dir))
	}
	for _, name := range []string{paceFile, unaskedFile} {
		if name == unaskedFile && d.reloads > 0 {
			continue
		}
		if err := os.WriteFile(filepath.Join(d.dir, name), nil, 0o600); err != nil {
			return err
		}
	}
	d.log, err = os.OpenFile(filepath.Join(d.dir, logFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	return err
}

func (d *driver) run(ctx context.Context) error {
	if err := d.start(); err != nil {
		return err
	}
	events := d.schedule()
	steps := len(events) + 1
	limit := func(step int) int { return d.rounds() * step / steps }
	if err := d.during(ctx, 0, limit(1), d.settle); err != nil {
		return err
	}
	if d.reloads > 0 {
		if err := d.during(ctx, limit(0), limit(1), func(ctx context.Context) error { return d.reach(ctx, 2) }); err != nil {
			return fmt.Errorf("the reload that a message asks for: %w", err)
		}
	}
	for i, e := range events {
		err := d.during(ctx, limit(i), limit(i+1), func(ctx context.Context) error { return d.do(ctx, e) })
		if err != nil {
			return fmt.Errorf("event %d, %s: %w", i+1, e, err)
		}
	}
	if err := d.allow(d.rounds()); err != nil {
		return err
	}
	if err := d.finish(ctx); err != nil {
		return err
	}
	return d.stop(ctx)
}

// during lets messages flow while f runs, and until all of the step may have begun.
func (d *driver) during(ctx context.Context, from, to int, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	done := make(chan error, 1)
	began := time.Now()
	go func() { done <- f(ctx) }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			d.usual = max(100*time.Millisecond, (d.usual+time.Since(began))/2)
			return errors.Join(err, d.allow(to))
		case <-tick.C:
			if err := d.allow(max(from, pace(from, to, time.Since(began), d.usual))); err != nil {
				return err
			}
		}
	}
}

// allow lets each slot have begun n rallies.
func (d *driver) allow(n int) error { return os.Truncate(filepath.Join(d.dir, paceFile), int64(n)) }

// start starts a primary.
func (d *driver) start() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "--cluster", "--dir", d.dir, "--messages", fmt.Sprint(d.messages))
	cmd.Stdout, cmd.Stderr = d.log, d.log
	if err := cmd.Start(); err != nil {
		return err
	}
	d.primary, d.ended = cmd, make(chan struct{})
	go func(ended chan struct{}) {
		_ = cmd.Wait() // its state tells
		close(ended)
	}(d.ended)
	return nil
}

// end stops a cluster after something has failed.
func (d *driver) end() error {
	if d.primary == nil {
		return nil
	}
	_ = d.primary.Process.Signal(unix.SIGTERM) // it has ended, if that fails
	select {
	case <-d.ended:
	case <-time.After(patience):
		_ = d.primary.Process.Kill() // as above
		<-d.ended
	}
	if out, err := exec.Command(d.norestart, "stop", "--orphans", "--dir", filepath.Join(d.dir, "cluster")).CombinedOutput(); err != nil {
		return fmt.Errorf("what is left of the cluster: %w: %s", err, out)
	}
	return nil
}

// finish waits until each slot has sent and received all.
func (d *driver) finish(ctx context.Context) error {
	last, since := 0, time.Now()
	return d.wait(ctx, "all rallies to end", func(context.Context) (bool, error) {
		all, err := pingpong.Read(d.dir)
		if err != nil {
			return false, err
		}
		over, entries := make(map[string]bool), 0
		for _, p := range all {
			entries += len(p.Entries)
			if slices.ContainsFunc(p.Entries, func(e pingpong.Entry) bool { return e.What == pingpong.Ended }) {
				over[p.Slot] = true
			}
		}
		if entries > last {
			last, since = entries, time.Now()
		}
		if len(over) < slots && time.Since(since) > d.silence {
			return false, fmt.Errorf("rallies have not ended, and no message came for %v", d.silence)
		}
		return len(over) == slots, nil
	})
}

func (d *driver) stop(ctx context.Context) error {
	if err := d.ctl(ctx, nil, "stop", "--yes"); err != nil {
		return err
	}
	select {
	case <-d.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
