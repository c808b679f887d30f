package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/norestart/norestart/control"
)

// patience bounds each wait: the machine may be busy.
const patience = 3 * time.Minute

// do carries out one event, and returns when the cluster has got over it.
func (d *driver) do(ctx context.Context, e event) error {
	switch e {
	case reload:
		return d.ctl(ctx, nil, "reload")
	case execs:
		if err := d.ctl(ctx, nil, "restart", "--primary"); err != nil {
			return err
		}
		return d.settle(ctx)
	case kill:
		return d.killPrimary(ctx)
	case killInReload:
		return d.killInReload(ctx)
	}
	return d.killWorker(ctx)
}

// killPrimary kills the primary and starts the next one, which adopts the workers.
func (d *driver) killPrimary(ctx context.Context) error {
	if err := d.primary.Process.Kill(); err != nil {
		return err
	}
	<-d.ended
	if err := d.start(); err != nil {
		return err
	}
	return d.settle(ctx)
}

// killInReload kills the primary when a reload has replaced the first worker. The
// next primary goes on with it.
func (d *driver) killInReload(ctx context.Context) error {
	s, err := d.status(ctx)
	if err != nil {
		return err
	}
	killed := false
	reloadErr := d.ctl(ctx, func(line string) error {
		if killed || !strings.Contains(line, "replaced") {
			return nil
		}
		killed = true
		return d.killPrimary(ctx)
	}, "reload")
	if !killed {
		return errors.Join(errors.New("no worker was replaced"), reloadErr)
	}
	return d.reach(ctx, s.generation()+1) // that of ctl may have ended without its primary
}

// killWorker kills each slot in turn, and waits until it is filled again.
func (d *driver) killWorker(ctx context.Context) error {
	w, err := d.workers(ctx)
	if err != nil {
		return err
	}
	victim := w[d.killed%len(w)]
	d.killed++
	if err := d.ctl(ctx, nil, "worker", "signal", victim.ID, "KILL"); err != nil {
		return err
	}
	return d.wait(ctx, victim.ID+" to be filled again", func(ctx context.Context) (bool, error) {
		w, err := d.workers(ctx)
		if err != nil {
			return false, err
		}
		for _, one := range w {
			if one.ID == victim.ID {
				return one.Incarnation != victim.Incarnation && one.State == control.Ready, nil
			}
		}
		return false, nil
	})
}

// settle waits until all workers are ready and no job runs.
func (d *driver) settle(ctx context.Context) error { return d.reach(ctx, 1) }

// reach waits for the same in a generation that has come.
func (d *driver) reach(ctx context.Context, generation int) error {
	return d.wait(ctx, fmt.Sprintf("generation %d to be ready", generation), func(ctx context.Context) (bool, error) {
		s, err := d.status(ctx)
		return err == nil && len(s.Jobs) == 0 && s.ready() == slots && s.generation() >= generation, nil
	})
}

// wait asks until done is true. What it waits for may be without a primary just now.
func (d *driver) wait(ctx context.Context, what string, done func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		ok, err := done(ctx)
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		case <-d.ended:
			return fmt.Errorf("wait for %s: the primary has ended: %v", what, d.primary.ProcessState)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// status is the part of `status --json` that is looked at.
type status struct {
	Pools []control.PoolStatus `json:"pools"`
	Jobs  []control.Job        `json:"jobs"`
}

func (s status) generation() int { return s.Pools[0].Generation }
func (s status) ready() int      { return s.Pools[0].Ready }

func (d *driver) status(ctx context.Context) (s status, err error) {
	if err = d.ask(ctx, &s, "status"); err == nil && len(s.Pools) != 1 {
		err = fmt.Errorf("the cluster has %d pools, not 1", len(s.Pools))
	}
	return s, err
}

func (d *driver) workers(ctx context.Context) ([]control.WorkerInfo, error) {
	var answer struct{ Workers []control.WorkerInfo }
	err := d.ask(ctx, &answer, "worker", "list")
	if err == nil && len(answer.Workers) != slots {
		err = fmt.Errorf("the cluster has %d workers, not %d", len(answer.Workers), slots)
	}
	return answer.Workers, err
}

func (d *driver) ask(ctx context.Context, answer any, words ...string) error {
	var out bytes.Buffer
	err := d.ctl(ctx, func(line string) error { _, err := out.WriteString(line); return err }, append(words, "--json")...)
	if err != nil {
		return err
	}
	return json.Unmarshal(out.Bytes(), answer)
}

// ctl gives a command to the cluster and passes on its lines as they come.
func (d *driver) ctl(ctx context.Context, line func(string) error, words ...string) error {
	cmd := exec.CommandContext(ctx, d.norestart, append([]string{"ctl", "--dir", filepath.Join(d.dir, "cluster")}, words...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var lineErr error
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if line != nil && lineErr == nil {
			lineErr = line(lines.Text())
		}
	}
	if err := errors.Join(lineErr, lines.Err(), cmd.Wait()); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, bytes.TrimSpace(errs.Bytes()))
	}
	return nil
}
