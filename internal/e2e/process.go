package e2e

import (
	"context"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/harness"
)

// tag is in the environment of every process of a script, and of all that these
// start, unless it is given another environment.
func tag(work string) string { return "WORK=" + work }

// noOrphans waits until nothing of the script runs any more.
func noOrphans(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	within, args := takeWithin(ts, args, harness.Patience)
	if len(args) > 0 {
		ts.Fatalf("usage: noorphans [-within D]")
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	var left []harness.Process
	err := harness.Poll(ctx, func() bool {
		var listErr error
		left, listErr = harness.Tagged(tag(of(ts).work))
		return listErr == nil && len(left) == 0
	})
	if err != nil {
		ts.Fatalf("still there after %v: %v", within, left)
	}
}

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
		if !harness.Has(pid, tag(of(ts).work)) {
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
	within, args := takeWithin(ts, args, harness.Patience)
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for _, pid := range pids(ts, args) {
		if err := harness.Poll(ctx, func() bool { return !harness.Alive(pid) }); err != nil {
			ts.Fatalf("process %d still runs after %v", pid, within)
		}
	}
}

func worker(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	if len(args) != 2 {
		ts.Fatalf("usage: worker VAR ID")
	}
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
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
