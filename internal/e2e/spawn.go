package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/norestart/norestart/internal/harness"
)

type program struct {
	*harness.Program
	out string // file with its standard output
}

// spawn starts a program whose output goes to files, where the script can see
// it at once.
func (s *script) spawn(ts *testscript.TestScript, path string, args []string, out, errs string) (p *program, err error) {
	cmd := exec.Command(path, args...)
	cmd.Env, cmd.Dir = s.environ(ts), ts.MkAbs(".")
	stdout, err := create(out)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stdout.Close()) }()
	stderr := stdout
	if errs != out {
		if stderr, err = create(errs); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, stderr.Close()) }()
	}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	started, err := harness.Start(cmd)
	return &program{started, out}, err
}

func create(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// expect waits until the program has ended, and looks at its exit status: -1
// after a signal.
func (p *program) expect(ts *testscript.TestScript, within time.Duration, want int) {
	select {
	case <-p.Done:
	case <-time.After(within):
		ts.Fatalf("%s still runs after %v", p.Path, within)
	}
	if got := p.ProcessState.ExitCode(); got != want {
		ts.Fatalf("%s ended with %v, want status %d", p.Path, p.ProcessState, want)
	}
}

// spawn starts a program beside the script: its pid is in the variable NAME,
// its output in the files NAME.out and NAME.err.
func spawn(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	s := of(ts)
	if len(args) < 2 || s.programs[args[0]] != nil {
		ts.Fatalf("usage: spawn NAME PROGRAM [ARG…], each NAME once")
	}
	path, err := lookPath(ts, args[1])
	ts.Check(err)
	file := filepath.Join(s.work, args[0])
	p, err := s.spawn(ts, path, args[2:], file+".out", file+".err")
	ts.Check(err)
	s.programs[args[0]] = p
	s.set(ts, args[0], strconv.Itoa(p.PID()))
}

func ended(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	within, args := takeWithin(ts, args, harness.Patience)
	if len(args) == 0 || of(ts).programs[args[0]] == nil {
		ts.Fatalf("usage: ended [-within D] NAME [STATUS], after spawn NAME")
	}
	of(ts).programs[args[0]].expect(ts, within, takeStatus(ts, args[1:]))
}

// takeStatus is the exit status that a script expects, 0 when it names none.
func takeStatus(ts *testscript.TestScript, args []string) int {
	if len(args) == 0 {
		return 0
	}
	status, err := strconv.Atoi(args[0])
	ts.Check(err)
	return status
}
