package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"
)

// descriptors counts what a process has open:
//
//	fds VAR PID          puts it into a variable
//	fds -most N PID      waits until there are no more than N
//
// Connections come and go, so a process may have more for a moment; one that
// leaks never comes down again.
func descriptors(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	switch {
	case len(args) == 3 && args[0] == "-most":
		most, err := strconv.Atoi(args[1])
		ts.Check(err)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		var open []string
		err = poll(ctx, func() bool {
			open = openFiles(ts, args[2])
			return len(open) <= most
		})
		if err != nil {
			ts.Fatalf("process %s has %d descriptors, want at most %d: %q", args[2], len(open), most, open)
		}
	case len(args) == 2:
		of(ts).set(ts, args[0], strconv.Itoa(len(openFiles(ts, args[1]))))
	default:
		ts.Fatalf("usage: fds VAR PID, fds -most N PID")
	}
}

func openFiles(ts *testscript.TestScript, pid string) (all []string) {
	dir := filepath.Join("/proc", pid, "fd")
	entries, err := os.ReadDir(dir)
	ts.Check(err)
	for _, e := range entries {
		to, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil {
			continue // it has just been closed
		}
		all = append(all, e.Name()+" "+to)
	}
	return all
}
