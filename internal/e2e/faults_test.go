package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/fault/inject"
	"github.com/norestart/norestart/internal/harness"
)

// TestFaults kills the primary at every point of what it does: before and after
// each call of package inject's list, one run each. The next primary has to
// take over, with no request lost on the way. A first run of a sequence tells
// which points there are, about 400 in all. FAULTS=all adds the sequences that
// take longer, with 200 more.
func TestFaults(t *testing.T) {
	program := injected(t)
	for _, s := range sequences {
		if s.long && os.Getenv("FAULTS") != "all" {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			if s.deaf && !mayFilter(t) {
				t.Log("only root may attach a filter to a socket here: a kill between listen and steering may lose requests, so there are none")
				s.alone = true
			}
			s.run(t, program)
		})
	}
}

// mayFilter tells whether this process may attach a filter to a socket, see
// socket(7), SO_ATTACH_FILTER.
func mayFilter(t *testing.T) bool {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	all := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 1 << 16}}
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &all[0]})
	if err != nil && !errors.Is(err, unix.EPERM) {
		t.Fatal(err)
	}
	return err == nil
}

// TestFaultsStayOut: no point is in an ordinary build.
func TestFaultsStayOut(t *testing.T) {
	for name, want := range map[string]bool{
		injected(t): true, filepath.Join(os.Getenv(binVariable), "faulty"): false, filepath.Join(os.Getenv(binVariable), "norestart"): false,
	} {
		program, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		// The names of functions are in the table by which stacks are printed.
		if got := bytes.Contains(program, []byte("norestart/internal/fault.")); got != want {
			t.Errorf("points in %s: %t, want %t", name, got, want)
		}
	}
}

// injected builds the program of the transcripts with points in it. It does not
// watch for races: it is started some thousand times.
func injected(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	overlay, err := inject.Overlay(root, out, "primary", "internal/durable", "internal/inherit", "internal/proc", "internal/ipc", "internal/dirs")
	if err != nil {
		t.Fatal(err)
	}
	if err := harness.Build(t.Context(), out, "-overlay", overlay, "./faulty"); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(out, "faulty")
}

// sequence is something that a primary does.
type sequence struct {
	name  string
	args  []string
	fresh bool // each point has a cluster of its own
	alone bool // requests may be lost: there are none
	deaf  bool // none is lost because a filter keeps the second socket deaf until it is steered
	ends  bool // the primary ends by itself
	long  bool // only with FAULTS=all
	// before brings a cluster to where the sequence begins.
	before func(t *testing.T, v *victim)
	// do is what is asked; nil: the start of the primary itself.
	do func(ctx context.Context, c control.Control) (control.Job, error)
	// after looks at what has become of it, under the next primary.
	after func(t *testing.T, v *victim, st control.Status)
}

// run finds the points of a sequence and kills the primary at each.
func (s sequence) run(t *testing.T, program string) {
	v := newVictim(t, s, program)
	points := s.points(t, v)
	if len(points) == 0 {
		t.Fatal("no point was passed: was the program built with points?")
	}
	for i, p := range points {
		t.Run(fmt.Sprintf("%d %s", i, p), func(t *testing.T) {
			if s.fresh || v.broken {
				v.end(t)
				v = newVictim(t, s, program)
			}
			v.broken = true // until the contrary is proved
			s.kill(t, v, p)
			v.broken = false
		})
	}
	if !v.broken {
		v.stop(t)
	}
	v.end(t)
}

// most is how often the same point of a sequence is tried: the first times
// tell it apart, later ones do the same for another worker.
const most = 3

// points are those of one undisturbed run.
func (s sequence) points(t *testing.T, v *victim) (points []string) {
	t.Helper()
	s.begin(t, v)
	v.plan(t, "")
	if died := v.provoke(t, s); s.ends && !died {
		<-v.primary.Done
	} else if !s.ends {
		v.settle(t)
	}
	times := make(map[string]int)
	for p := range strings.Lines(v.passed(t)) {
		p = strings.TrimSpace(p)
		times[p]++
		if times[p] <= most && worth(p) {
			points = append(points, fmt.Sprintf("%d %s", times[p], p))
		}
	}
	v.forget(t)
	return points
}

// worth tells whether a kill at this point can tell what one at the next
// cannot: after a call that only prepares the next, it cannot.
func worth(point string) bool {
	if strings.HasPrefix(point, "before ") {
		return true
	}
	call := point[strings.LastIndexByte(point, ' ')+1:]
	switch call {
	case "Rename", "Linkat", "ForkExec", "Bind", "Kill", "PidfdSendSignal", "Renameat":
		return true
	}
	return false
}

func (s sequence) begin(t *testing.T, v *victim) {
	if s.do != nil || s.before != nil {
		v.ensure(t)
	}
	if s.before != nil {
		s.before(t, v)
	}
	v.note(t)
}

// kill lets the primary die at one point, and the next one take over.
func (s sequence) kill(t *testing.T, v *victim, point string) {
	s.begin(t, v)
	v.plan(t, point)
	if died := v.provoke(t, s); !died {
		t.Logf("not passed this time: killed afterwards")
		v.kill(t)
	}
	v.forget(t)
	v.start(t)
	s.judge(t, v)
}

// judge looks at the cluster that the next primary has.
func (s sequence) judge(t *testing.T, v *victim) {
	st := v.settle(t)
	v.check(t, st)
	if s.after != nil {
		s.after(t, v, st)
	}
}
