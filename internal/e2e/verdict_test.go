package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/harness"
)

// view is a cluster as it is seen from outside.
type view struct {
	status  control.Status
	workers []control.WorkerInfo
	fault   string // why it is not as it should be; empty: it is
}

// settle waits until the cluster is as it should be: every slot has one
// process, which is ready, nothing is under way, and no other process is there.
func (v *victim) settle(t *testing.T) control.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	var now view
	err := harness.Poll(ctx, func() bool {
		now = v.look(ctx)
		return now.fault == "" || v.dead()
	})
	if v.dead() {
		v.fatal(t, "the primary has ended: %v", v.primary.ProcessState)
	}
	if err != nil {
		v.fatal(t, "not well within %v: %s", harness.Patience, now.fault)
	}
	return now.status
}

func (v *victim) look(ctx context.Context) view {
	var now view
	var err error
	if now.status, err = control.Get(ctx, v.control(), control.StatusQuery{}); err == nil {
		now.workers, err = control.Get(ctx, v.control(), control.WorkersQuery{})
	}
	if err != nil {
		now.fault = err.Error()
		return now
	}
	now.fault = now.wrong()
	if now.fault == "" {
		now.fault = v.strangers(now)
	}
	return now
}

// wrong is what the primary itself says.
func (w view) wrong() string {
	for _, p := range w.status.Pools {
		if p.Ready+p.Stopped != p.Target || len(p.Listen) == 0 {
			return fmt.Sprintf("pool %+v", p)
		}
	}
	for _, i := range w.workers {
		if i.State != control.Ready && i.State != control.Stopped || i.Successor != nil || len(i.Outgoing) > 0 {
			return fmt.Sprintf("worker %+v", i)
		}
	}
	for _, j := range w.status.Jobs {
		return fmt.Sprintf("job %+v runs", j)
	}
	return ""
}

// strangers are processes that are none of the cluster's.
func (v *victim) strangers(now view) string {
	known := []int{v.primary.Process.Pid}
	for _, i := range now.workers {
		if i.PID != 0 {
			known = append(known, i.PID)
		}
	}
	all, err := harness.Tagged(tag(v.work))
	if err != nil {
		return err.Error()
	}
	for _, p := range all {
		if !slices.Contains(known, p.PID) {
			return fmt.Sprintf("process %v is nobody's", p)
		}
	}
	if len(all) != len(known) {
		return fmt.Sprintf("%d processes, known are %v", len(all), known)
	}
	return ""
}

func web(st control.Status) control.PoolStatus {
	for _, p := range st.Pools {
		if p.Name == "web" {
			return p
		}
	}
	return control.PoolStatus{}
}

// check looks at what must hold whatever the sequence is.
func (v *victim) check(t *testing.T, st control.Status) {
	t.Helper()
	v.answered(t)
	v.numbers(t, st)
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	var left []string
	err := harness.Poll(ctx, func() bool { // the record is being written, perhaps
		kept, err := control.Get(ctx, v.control(), control.GenerationsQuery{})
		left = v.litter(kept)
		return err == nil && len(left) == 0
	})
	if err != nil {
		v.fatal(t, "files: %q", left)
	}
}

// answered looks that no request has failed so far.
func (v *victim) answered(t *testing.T) {
	t.Helper()
	for _, c := range v.loads {
		if r := c.Now(); r.Failed > 0 {
			v.fatal(t, "%d requests failed: %q", r.Failed, r.Causes)
		}
	}
}

// life is one line of the file in which the workers note that they were started.
type life struct {
	worker      string
	generation  int
	incarnation uint64
}

func (v *victim) lives(t *testing.T) (all []life) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(v.work, "lives"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var l life
		if _, err := fmt.Sscanf(line, "%s %d %d", &l.worker, &l.generation, &l.incarnation); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, l)
	}
	return all
}

// note keeps what the numbers are when a sequence begins.
func (v *victim) note(t *testing.T) {
	t.Helper()
	v.generation, v.highest = 0, 0
	for _, l := range v.lives(t) {
		v.highest = max(v.highest, l.generation)
	}
	if v.primary == nil || v.dead() {
		return
	}
	p := web(v.settle(t))
	v.generation, v.target = p.Generation, p.Target
}

// numbers looks that no incarnation and no generation has been given out twice.
// Since the sequence began only the current generation and new ones were started.
func (v *victim) numbers(t *testing.T, st control.Status) {
	t.Helper()
	seen := make(map[uint64]bool)
	for _, l := range v.lives(t) {
		if seen[l.incarnation] {
			v.fatal(t, "incarnation %d was given out twice", l.incarnation)
		}
		seen[l.incarnation] = true
	}
	if g := web(st).Generation; v.generation > 0 && g != v.generation && g <= v.highest {
		v.fatal(t, "generation %d, but %d has been used before and %d was current", g, v.highest, v.generation)
	}
}

// litter are files of the state directory that belong to nothing: temporary
// ones, and binaries of generations that are not kept. After a stop nobody
// tells which are.
func (v *victim) litter(kept []control.GenerationInfo) (left []string) {
	owned := make(map[string]bool)
	for _, g := range kept {
		owned[fmt.Sprintf("%s-%d", g.Pool, g.Number)] = true
	}
	for _, g := range kept {
		if _, err := os.Lstat(filepath.Join(v.state, "generations", fmt.Sprintf("%s-%d", g.Pool, g.Number))); err != nil && g.Kept == control.KeptBinary {
			left = append(left, err.Error())
		}
	}
	err := filepath.WalkDir(v.state, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it has just been renamed
		}
		if err != nil || d.IsDir() {
			return err
		}
		name := d.Name()
		temporary := strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".new") || strings.Contains(name, ".tmp-")
		nobodys := filepath.Base(filepath.Dir(path)) == "generations" && kept != nil && !owned[name]
		if temporary || nobodys {
			left = append(left, path)
		}
		return nil
	})
	if err != nil {
		left = append(left, err.Error())
	}
	return left
}
