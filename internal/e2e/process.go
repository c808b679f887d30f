package e2e

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/tagged"
)

// tag is what every process of a script has in its environment, and what those
// started, unless it took an environment of its own.
func tag(work string) string { return "WORK=" + work }

// clear kills what is left of a script and returns what that was. It looks
// again until nothing is left: what a primary started meanwhile dies, too.
func clear(work string) (left []tagged.Process, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err = poll(ctx, func() bool {
		now, listErr := tagged.All(tag(work))
		if listErr != nil {
			return false
		}
		for _, p := range now {
			if !slices.ContainsFunc(left, func(q tagged.Process) bool { return q.PID == p.PID }) {
				left = append(left, p)
			}
			tagged.Kill(p.PID, tag(work))
		}
		return len(now) == 0
	})
	return left, err
}

// noOrphans waits until nothing of the script runs any more.
func noOrphans(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	within, args := takeWithin(ts, args, 5*time.Second)
	if len(args) > 0 {
		ts.Fatalf("usage: noorphans [-within D]")
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	var left []tagged.Process
	err := poll(ctx, func() bool {
		var listErr error
		left, listErr = tagged.All(tag(of(ts).work))
		return listErr == nil && len(left) == 0
	})
	if err != nil {
		ts.Fatalf("still there after %v: %v", within, left)
	}
}

// sig sends a signal to processes of the script.
func sig(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	if len(args) < 2 {
		ts.Fatalf("usage: sig NAME PID…")
	}
	number := unix.SignalNum("SIG" + args[0])
	if number == 0 {
		ts.Fatalf("no signal %q", args[0])
	}
	for _, pid := range pids(ts, args[1:]) {
		if !tagged.Has(pid, tag(of(ts).work)) {
			ts.Fatalf("process %d is none of the script's", pid)
		}
		ts.Check(unix.Kill(pid, number))
	}
}

func pids(ts *testscript.TestScript, words []string) []int {
	var all []int
	for _, w := range words {
		pid, err := strconv.Atoi(w)
		if err != nil || pid <= 1 {
			ts.Fatalf("pid %q", w)
		}
		all = append(all, pid)
	}
	return all
}

// gone waits until processes have ended.
func gone(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	within, args := takeWithin(ts, args, patience)
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for _, pid := range pids(ts, args) {
		if err := poll(ctx, func() bool { return !alive(pid) }); err != nil {
			ts.Fatalf("process %d still runs after %v", pid, within)
		}
	}
}

// alive tells whether a process runs; a zombie does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ESRCH)
	}
	_, rest, ok := bytes.Cut(stat, []byte(") ")) // proc(5): the state follows the name
	return !ok || !bytes.HasPrefix(rest, []byte("Z"))
}

// worker puts the pid of a worker's process into a variable.
func worker(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	if len(args) != 2 {
		ts.Fatalf("usage: worker VAR ID")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var list struct {
		Workers []struct {
			ID  string
			PID int
		}
	}
	s := of(ts)
	ts.Check(s.ask(ctx, ts, &list, "worker", "list", "--json"))
	for _, w := range list.Workers {
		if w.ID == args[1] && w.PID != 0 {
			s.set(ts, args[0], strconv.Itoa(w.PID))
			return
		}
	}
	ts.Fatalf("no process of %s in %+v", args[1], list)
}
