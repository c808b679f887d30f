package e2e

import (
	"context"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/norestart/norestart/internal/harness"
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
		ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
		defer cancel()
		var open map[string]string
		err = harness.Poll(ctx, func() bool {
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

func openFiles(ts *testscript.TestScript, word string) map[string]string {
	open, err := harness.Descriptors(pids(ts, []string{word})[0])
	ts.Check(err)
	return open
}
