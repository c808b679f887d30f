package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// patience bounds every wait of a script that names no other time. It is
// generous: all scripts share the machine.
const patience = 30 * time.Second

// wholeRun bounds all scripts together: what hangs is ended then and shown.
const wholeRun = 5 * time.Minute

// Run runs the scripts in dir, in parallel.
func Run(t *testing.T, dir string) {
	deadline := time.Now().Add(wholeRun)
	if d, ok := t.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	testscript.Run(t, testscript.Params{
		Dir: dir, Deadline: deadline, RequireUniqueNames: true,
		Setup: setup, Condition: condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start": start, "stopped": stopped, "shutdown": shutdown,
			"exits": exits, "waitfor": waitFor, "spawn": spawn, "ended": ended,
			"sig": sig, "gone": gone, "noorphans": noOrphans, "worker": worker,
			"load": load, "request": request, "sshkey": sshKey, "fds": descriptors,
			"occupy": occupy, "tinydisk": tinyDisk,
			"terminal": openTerminal, "type": typeKeys, "sees": sees, "never": never, "resize": resize,
		},
	})
}

// script is what a script has under way.
type script struct {
	work     string
	env      map[string]string // as the programs of the script see it
	clusters []*program
	programs map[string]*program
	loads    map[string]*client

	terminals map[string]*terminal
}

type scriptKey struct{}

func of(ts *testscript.TestScript) *script { return ts.Value(scriptKey{}).(*script) }

// setup gives a script its directory, its variables and its end.
func setup(env *testscript.Env) error {
	s := &script{
		work: env.WorkDir, env: make(map[string]string), loads: make(map[string]*client), programs: make(map[string]*program),
		terminals: make(map[string]*terminal),
	}
	env.Values[scriptKey{}] = s
	env.Setenv("PATH", os.Getenv(binVariable)+":"+os.Getenv("PATH"))
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("DIR", filepath.Join(env.WorkDir, "state"))
	env.Setenv("SSH", filepath.Join(env.WorkDir, "ssh_config"))
	env.Setenv("HELLO", filepath.Join(os.Getenv(binVariable), "hello"))
	env.Setenv("TESTPID", fmt.Sprint(os.Getpid()))
	env.Setenv("GORACE", "halt_on_error=1 exitcode=66 atexit_sleep_ms=0")
	tb, ok := env.T().(testing.TB)
	if !ok {
		return fmt.Errorf("e2e: %T is no testing.TB", env.T())
	}
	env.Defer(func() { s.end(tb) })
	return nil
}

// end leaves nothing of a script behind, and complains if there was something.
func (s *script) end(tb testing.TB) {
	for _, c := range s.loads {
		c.cancel()
		c.wait()
	}
	left, err := clear(s.work)
	if err != nil {
		tb.Errorf("clean up: %v", err)
	}
	for _, p := range append(slices.Collect(maps.Values(s.programs)), s.clusters...) {
		<-p.done
	}
	if tb.Skipped() {
		return
	}
	if !tb.Failed() { // else it had no chance to end them
		for _, p := range left {
			tb.Errorf("the script left process %v", p)
		}
	}
	for _, c := range s.clusters {
		s.show(tb, c)
	}
}

// show prints what a cluster said, when the script failed, and fails it for
// every race that was found.
func (s *script) show(tb testing.TB, c *program) {
	text, err := os.ReadFile(c.out)
	if err != nil {
		tb.Errorf("read the console: %v", err)
	}
	if raced.Match(text) {
		tb.Errorf("a data race was found in %s", c.cmd.Path)
	}
	if tb.Failed() {
		tb.Logf("the console of %s:\n%s", c.cmd.Path, text)
	}
}

// condition knows what a script may need of the machine: [mount], [root],
// [python:MODULE].
func condition(name string) (bool, error) {
	if module, ok := strings.CutPrefix(name, "python:"); ok {
		return exec.Command("/usr/bin/python3", "-c", "import "+module).Run() == nil, nil
	}
	switch name {
	case "root":
		return os.Geteuid() == 0, nil
	case "mount":
		return mayMount(), nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

// mayMount tries it once.
var mayMount = sync.OnceValue(func() bool {
	dir, err := os.MkdirTemp("", "norestart-e2e-mount-")
	if err != nil {
		return false
	}
	defer os.Remove(dir)
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=16k"); err != nil {
		return false
	}
	return unix.Unmount(dir, unix.MNT_DETACH) == nil
})

// set sets a variable, for the script and for the programs that waitfor runs.
func (s *script) set(ts *testscript.TestScript, name, value string) {
	ts.Setenv(name, value)
	s.env[name] = value
}

// refuseNot is for commands that know no "!".
func refuseNot(ts *testscript.TestScript, neg bool) {
	if neg {
		ts.Fatalf("this command knows no !")
	}
}

// poll calls done until it says so. The interval grows, for there is nothing
// to gain from asking a slow machine more often.
func poll(ctx context.Context, done func() bool) error {
	every := 10 * time.Millisecond
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(every):
		}
		every = min(every*3/2, 200*time.Millisecond)
	}
	return nil
}
