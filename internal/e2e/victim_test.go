package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/fault"
	"github.com/norestart/norestart/internal/harness"
	"github.com/norestart/norestart/internal/ipc"
)

// victim is a cluster whose primary is killed again and again.
type victim struct {
	program, work, state, faults, console string
	args                                  []string
	alone                                 bool
	broken                                bool // what happens from here on tells nothing

	primary *harness.Program
	loads   []*harness.Running

	generation, highest int // when the sequence began
	target              int
	former              string // where its pool listened before it was moved
	accepted            bool   // what was asked for
	told                string // how the job ended; empty: no client heard of it
	trail               string // the points that were passed last
}

func newVictim(t *testing.T, s sequence, program string) *victim {
	t.Helper()
	work, err := os.MkdirTemp("", "norestart-faults-")
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{program: program, work: work, state: filepath.Join(work, "state"), faults: filepath.Join(work, "faults"), console: filepath.Join(work, "console")}
	v.alone = s.alone
	v.args = append([]string{"--dir", v.state, "--listen", free(t), "--max-restarts", "1000", "--canary", "20ms", "--lame-duck", "500ms"}, s.args...)
	if err := errors.Join(os.Mkdir(v.faults, 0o700), os.WriteFile(filepath.Join(work, "lives"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	return v
}

// free is an address that will stay so: the next primary has to get it again,
// so the kernel cannot choose it, and nobody else looks for ports on an address
// of the loopback network that has been drawn by lot.
func free(t *testing.T) string {
	t.Helper()
	n := rand.Uint32()
	ln, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 1+n%254, n>>8%256, 1+n>>16%254))
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	return ln.Addr().String()
}

// start starts a primary and does not wait for it.
func (v *victim) start(t *testing.T) {
	t.Helper()
	out, err := create(v.console)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(v.program, v.args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = v.work, out, out
	cmd.Env = []string{"LANG=C", "PATH=" + os.Getenv("PATH"), "HOME=" + v.work, "WORK=" + v.work, fault.Variable + "=" + v.faults}
	if v.primary, err = harness.Start(cmd); err != nil {
		t.Fatal(err)
	}
}

// ensure has a primary, all its workers and clients that ask them.
func (v *victim) ensure(t *testing.T) {
	t.Helper()
	if v.primary == nil || v.dead() {
		v.start(t)
	}
	st := v.settle(t)
	if v.alone || len(v.loads) > 0 {
		return
	}
	l := harness.Load{Client: harness.Client{Address: strings.TrimPrefix(web(st).Listen[0], "tcp://")}, Clients: 2, Rate: 60, Limit: wholeRun}
	kept := l
	kept.Keep = true
	v.loads = []*harness.Running{l.Start(context.Background()), kept.Start(context.Background())}
}

func (v *victim) dead() bool { return v.primary.Ended() }

// kill ends the primary from outside.
func (v *victim) kill(t *testing.T) {
	t.Helper()
	if v.primary == nil || v.dead() {
		return
	}
	if err := v.primary.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	<-v.primary.Done
}

// plan says where the primary is to die; empty: nowhere, only note the points.
func (v *victim) plan(t *testing.T, point string) {
	t.Helper()
	name := filepath.Join(v.faults, fault.PlanFile)
	err := os.WriteFile(name+".new", []byte(point), 0o600)
	if err := errors.Join(err, os.Rename(name+".new", name)); err != nil {
		t.Fatal(err)
	}
}

// passed are the points since there has been a plan.
func (v *victim) passed(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(v.faults, fault.PassedFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text)
}

// forget takes the plan away.
func (v *victim) forget(t *testing.T) {
	t.Helper()
	v.trail = v.passed(t)
	for _, name := range []string{fault.PlanFile, fault.PassedFile} {
		if err := os.Remove(filepath.Join(v.faults, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// lateWrite is how long the record of what has happened may take to be written.
const lateWrite = 300 * time.Millisecond

// provoke does what the sequence does and tells whether the primary has ended.
func (v *victim) provoke(t *testing.T, s sequence) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	ask := make(chan error, 1)
	if s.do == nil {
		v.kill(t)
		v.start(t)
		ask <- harness.Poll(ctx, func() bool { return v.dead() || v.look(ctx).fault == "" })
	} else {
		go func() { ask <- v.ask(ctx, s) }()
	}
	select {
	case <-v.primary.Done:
		cancel()
		<-ask
		return true
	case <-ask: // how it went is judged by what is left
	}
	if v.passed(t) == "" || plansNothing(v.faults) {
		return v.dead()
	}
	select {
	case <-v.primary.Done:
		return true
	case <-time.After(lateWrite):
		return false
	}
}

func plansNothing(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, fault.PlanFile))
	return err == nil && info.Size() == 0
}

// ask asks for what the sequence does and waits until it is done.
func (v *victim) ask(ctx context.Context, s sequence) error {
	v.accepted, v.told = false, ""
	j, err := s.do(ctx, followed{v.control(), v})
	if err == nil {
		v.accepted, v.told = true, string(j.State)
	}
	return err
}

// followed follows each job to its end.
type followed struct {
	control.Control
	v *victim
}

func (f followed) Do(ctx context.Context, r control.Request, _ func(control.JobEvent) error) (control.Job, error) {
	return f.Control.Do(ctx, r, func(e control.JobEvent) error {
		f.v.accepted = f.v.accepted || e.Event == control.StepAccepted
		return nil
	})
}

func (v *victim) control() control.Control {
	return harness.Control(v.state)
}

// must does something that belongs to no sequence.
func (v *victim) must(t *testing.T, do func(ctx context.Context, c control.Control) (control.Job, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	if err := v.ask(ctx, sequence{do: do}); err != nil {
		v.fatal(t, "%v", err)
	}
	v.settle(t)
}

// stop ends the cluster, of which only files may be left.
func (v *victim) stop(t *testing.T) {
	t.Helper()
	v.quiet(t)
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	if _, err := v.control().Do(ctx, control.StopRequest{}, nil); err != nil {
		v.fatal(t, "stop: %v", err)
	}
	select {
	case <-v.primary.Done:
	case <-ctx.Done():
		v.fatal(t, "the primary does not end")
	}
	if code := v.primary.ProcessState.ExitCode(); code != 0 {
		v.fatal(t, "the primary ended with %v", v.primary.ProcessState)
	}
	if left, err := harness.Tagged(tag(v.work)); err != nil || len(left) > 0 {
		v.fatal(t, "left after the stop: %v %v", left, err)
	}
	for _, name := range []string{ipc.WorkerSocket, ipc.CtlSocket} {
		if _, err := os.Lstat(filepath.Join(v.state, name)); !errors.Is(err, os.ErrNotExist) {
			v.fatal(t, "%s is left: %v", name, err)
		}
	}
	if left := v.litter(nil); len(left) > 0 {
		v.fatal(t, "left after the stop: %q", left)
	}
}

// quiet ends the requests, of which none may have failed.
func (v *victim) quiet(t *testing.T) {
	t.Helper()
	v.answered(t)
	for _, c := range v.loads {
		if r := c.StopAfter(1); r.Failed > 0 {
			v.fatal(t, "%d of %d requests failed: %q", r.Failed, r.Requests, r.Causes)
		}
	}
	v.loads = nil
}

// end leaves nothing of the cluster.
func (v *victim) end(t *testing.T) {
	t.Helper()
	for _, c := range v.loads {
		c.Stop()
	}
	v.loads = nil
	if _, err := harness.Clear(tag(v.work)); err != nil {
		t.Errorf("clean up: %v", err)
	}
	if v.primary != nil {
		<-v.primary.Done
	}
	if err := os.RemoveAll(v.work); err != nil {
		t.Errorf("clean up: %v", err)
	}
}

// fatal ends the run with what the cluster has said.
func (v *victim) fatal(t *testing.T, format string, args ...any) {
	t.Helper()
	text, err := os.ReadFile(v.console)
	if err != nil {
		text = []byte(err.Error())
	}
	lines := slices.Collect(strings.Lines(string(text)))
	t.Fatalf("%s\npassed:\n%s\nconsole:\n%s", fmt.Sprintf(format, args...), v.trail, strings.Join(lines[max(0, len(lines)-40):], ""))
}
