package e2e

import (
	"context"
	"errors"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/norestart/norestart/internal/harness"
)

// exits runs a program that has to end with exactly this status. Standard
// output and error are there for "stdout", "stderr" and "cmp" afterwards.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	if len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM [ARG…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := statusOf(ts, ts.Exec(args[1], args[2:]...)); got != want {
		ts.Fatalf("%s exits with status %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

func statusOf(ts *testscript.TestScript, err error) int {
	if err == nil {
		return 0
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		ts.Fatalf("%v", err)
	}
	return exit.ExitCode()
}

// wish is what waitfor waits for: every condition that was named.
type wish struct {
	within         time.Duration
	status         int // -2: any
	stdout, stderr *regexp.Regexp
	not            *regexp.Regexp // not on standard output
}

// waitFor runs a program again and again until it is as wished:
//
//	waitfor [-within D] [-status N|any] [-stdout RE] [-not RE] [-stderr RE] PROGRAM [ARG…]
func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	w, words := readWish(ts, args)
	ctx, cancel := context.WithTimeout(context.Background(), w.within)
	defer cancel()
	s := of(ts)
	var out, errs strings.Builder
	err := harness.Poll(ctx, func() bool {
		out.Reset()
		errs.Reset()
		cmd := s.command(ctx, ts, words)
		cmd.Stdout, cmd.Stderr = &out, &errs
		err := cmd.Run()
		if ctx.Err() != nil {
			return false
		}
		return w.granted(statusOf(ts, err), out.String(), errs.String())
	})
	_, _ = ts.Stdout().Write([]byte(out.String())) // to strings
	_, _ = ts.Stderr().Write([]byte(errs.String()))
	if err != nil {
		ts.Fatalf("%s is not as wished within %v", strings.Join(words, " "), w.within)
	}
}

func readWish(ts *testscript.TestScript, args []string) (wish, []string) {
	w := wish{within: harness.Patience}
	compile := func(text string) *regexp.Regexp {
		re, err := regexp.Compile("(?m)" + text)
		ts.Check(err)
		return re
	}
	for len(args) > 2 && strings.HasPrefix(args[0], "-") {
		var err error
		switch value := args[1]; args[0] {
		case "-within":
			w.within, err = time.ParseDuration(value)
		case "-status":
			w.status = -2
			if value != "any" {
				w.status, err = strconv.Atoi(value)
			}
		case "-stdout":
			w.stdout = compile(value)
		case "-stderr":
			w.stderr = compile(value)
		case "-not":
			w.not = compile(value)
		default:
			ts.Fatalf("waitfor: no condition %s", args[0])
		}
		ts.Check(err)
		args = args[2:]
	}
	if len(args) == 0 {
		ts.Fatalf("usage: waitfor [CONDITION…] PROGRAM [ARG…]")
	}
	return w, args
}

func (w wish) granted(status int, out, errs string) bool {
	return (w.status == -2 || w.status == status) &&
		(w.stdout == nil || w.stdout.MatchString(out)) &&
		(w.stderr == nil || w.stderr.MatchString(errs)) &&
		(w.not == nil || !w.not.MatchString(out))
}
