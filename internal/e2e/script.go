package e2e

import (
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

	"github.com/norestart/norestart/internal/harness"
)

// wholeRun bounds all scripts together: what hangs is ended then and shown. A
// machine that is busy with other things takes several times as long as a quiet one.
const wholeRun = 40 * time.Minute

// Run runs the scripts in dir, in parallel.
func Run(t *testing.T, dir string) {
	deadline := time.Now().Add(wholeRun)
	if d, ok := t.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	testscript.RunT(&story{T: t}, testscript.Params{
		Dir: dir, Deadline: deadline, RequireUniqueNames: true,
		Setup: setup, Condition: condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start": start, "stopped": stopped, "shutdown": shutdown,
			"exits": exits, "waitfor": waitFor, "spawn": spawn, "ended": ended,
			"sig": sig, "gone": gone, "noorphans": noOrphans, "worker": worker,
			"load": load, "request": request, "sshkey": sshKey, "fds": descriptors,
			"occupy": occupy, "tinydisk": tinyDisk, "cgroup": inCgroup,
			"terminal": openTerminal, "type": typeKeys, "sees": sees, "never": never, "resize": resize,
		},
	})
}

type script struct {
	work     string
	env      map[string]string // as the programs of the script see it
	clusters []*program
	programs map[string]*program
	loads    map[string]*running
	cgroup   string // "": none

	terminals map[string]*terminal
}

type scriptKey struct{}

func of(ts *testscript.TestScript) *script { return ts.Value(scriptKey{}).(*script) }

func setup(env *testscript.Env) error {
	s := &script{
		work: env.WorkDir, env: make(map[string]string), loads: make(map[string]*running), programs: make(map[string]*program),
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
	tb, ok := env.T().(*story)
	if !ok {
		return fmt.Errorf("e2e: %T is no story", env.T())
	}
	env.Defer(func() { s.end(tb) })
	return nil
}

// end leaves nothing of a script behind, and complains if there was something.
func (s *script) end(tb *story) {
	for _, c := range s.loads {
		c.Stop()
	}
	left, err := harness.Clear(tag(s.work))
	if err != nil {
		tb.Errorf("clean up: %v", err)
	}
	if s.cgroup != "" {
		removeCgroup(tb, s.cgroup)
	}
	for _, p := range append(slices.Collect(maps.Values(s.programs)), s.clusters...) {
		<-p.Done
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
func (s *script) show(tb *story, c *program) {
	text, err := os.ReadFile(c.out)
	if err != nil {
		tb.Errorf("read the console: %v", err)
	}
	if raced.Match(text) {
		tb.Errorf("a data race was found in %s", c.Path)
	}
	if tb.Failed() {
		tb.console(c.Path, text)
	}
}

// condition knows what a script may need of the machine: [mount], [root],
// [cgroup], [pidns] (a PID namespace of its own), [python:MODULE].
func condition(name string) (bool, error) {
	if module, ok := strings.CutPrefix(name, "python:"); ok {
		return exec.Command("/usr/bin/python3", "-c", "import "+module).Run() == nil, nil
	}
	switch name {
	case "root":
		return os.Geteuid() == 0, nil
	case "mount":
		return mayMount(), nil
	case "pidns":
		return exec.Command("unshare", "--pid", "--fork", "--mount-proc", "true").Run() == nil, nil
	case "cgroup":
		dir, err := makeCgroup()
		return err == nil && os.Remove(dir) == nil, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

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
