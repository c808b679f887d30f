package proc

import (
	"bufio"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// roleVariable names the part that this binary plays when a test starts it
// again as a child.
const roleVariable = "PROC_TEST_ROLE"

// atOnce keeps the race detector from sleeping for a second at exit.
const atOnce = "GORACE=atexit_sleep_ms=0"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role))
	}
	goleak.VerifyTestMain(m)
}

// play is a child's life. A child that stays says "ready" on its standard
// output first, and stays until its standard input ends or a signal comes, so
// that none outlives the tests.
func play(role string) int {
	switch role {
	case "exit 3":
		return 3
	case "abort":
		// A Go program cannot: its runtime turns SIGABRT into exit status 2.
		fmt.Fprintln(os.Stderr, syscall.Exec("/bin/sh", []string{"sh", "-c", "ulimit -c 0; kill -ABRT $$"}, nil))
	case "obey":
		stay()
	case "ignore term":
		signal.Ignore(syscall.SIGTERM)
		stay()
	case "family":
		return family()
	case "subreaper":
		return subreaper()
	case "orphans":
		return orphans()
	case "nanny":
		return nanny()
	case "heir":
		return say(heir())
	case "before exec":
		return say(beforeExec())
	case "after exec":
		return say(afterExec())
	case "three at the end":
		stay()
		return 3
	case "family at the end":
		stay()
		return family()
	case "trap":
		// The shell outlives TERM; the other member of its group does not.
		const script = "exec 3<&0; trap : TERM; (trap - TERM; echo ready; read -r line <&3) & wait; wait; echo gone; read -r line"
		fmt.Println(syscall.Exec("/bin/sh", []string{"sh", "-c", script}, nil))
	case "elsewhere":
		// It leaves its group for its parent's.
		if group, err := syscall.Getpgid(os.Getppid()); err != nil || syscall.Setpgid(0, group) != nil {
			return 1
		}
		stay()
	case "pinned":
		name, _ := os.Readlink("/proc/self/exe")
		fmt.Println(name)
	}
	return 0
}

// say is the end of a role that tells one line.
func say(s string, err error) int {
	if err != nil {
		s = "error: " + err.Error()
	}
	fmt.Println(s)
	return 0
}

func stay() {
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
}

// child is a started child and what its standard streams are tied to.
type child struct {
	Process
	out *bufio.Reader // its standard output
}

// startRole starts this test binary in a role. The child's standard input ends
// when the test does.
func startRole(t *testing.T, o *OS, role string) child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return startCommand(t, o, Command{Path: self, Argv: []string{self}, Env: []string{roleVariable + "=" + role, atOnce}})
}

// startCommand starts c with those; the first three of c.Files are replaced.
func startCommand(t *testing.T, o *OS, c Command) child {
	t.Helper()
	stdin, hold := pipe(t)
	out, stdout := pipe(t)
	if len(c.Files) < 3 {
		c.Files = make([]int, 3)
	}
	c.Files[0], c.Files[1], c.Files[2] = int(stdin.Fd()), int(stdout.Fd()), 2
	p, err := o.Start(c)
	stdin.Close()
	stdout.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		hold.Close()
		_ = p.Signal(syscall.SIGKILL)
		select {
		case <-p.Wait():
		case <-time.After(time.Minute):
			t.Errorf("process %d has not ended", p.PID())
		}
		out.Close()
	})
	if err := out.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return child{Process: p, out: bufio.NewReader(out)}
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

// line reads the next line of the child's standard output.
func (c child) line(t *testing.T) string {
	t.Helper()
	s, err := c.out.ReadString('\n')
	if err != nil {
		t.Fatalf("read from process %d: %v", c.PID(), err)
	}
	return strings.TrimSuffix(s, "\n")
}
