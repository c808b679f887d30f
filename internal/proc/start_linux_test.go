package proc

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/google/go-cmp/cmp"
)

func TestStartReportsTheKernelsError(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	written, err := os.OpenFile(file("written", "\x7fELF", 0o755), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer written.Close()
	for _, c := range []struct {
		command Command
		want    error
	}{
		{Command{Path: filepath.Join(dir, "none")}, syscall.ENOENT},
		{Command{Path: file("plain", "text", 0o644)}, syscall.EACCES},
		{Command{Path: file("garbage", "\x00\x01\x02", 0o755)}, syscall.ENOEXEC},
		{Command{Path: written.Name()}, syscall.ETXTBSY},
		{Command{Path: "/bin/sh", Dir: filepath.Join(dir, "none")}, syscall.ENOENT},
		{Command{Path: "/bin/sh", Argv: []string{"a\x00b"}}, syscall.EINVAL},
	} {
		p, err := NewOS().Start(c.command)
		if !errors.Is(err, c.want) || p != nil {
			t.Errorf("start %+v: %v, %v; want %v", c.command, p, err, c.want)
		}
	}
}

func TestStartGivesWhatWasAsked(t *testing.T) {
	dir := t.TempDir()
	c := startCommand(t, NewOS(), Command{
		Path: "/bin/sh",
		Argv: []string{"the-name", "-c", `echo "$0 $1 $A $B"; pwd; echo $$; exit 7`, "zero", "one"},
		Env:  []string{"A=1"},
		Dir:  dir,
	})
	got := []string{c.line(t), c.line(t)}
	if diff := cmp.Diff([]string{"zero one 1 ", dir}, got); diff != "" {
		t.Errorf("child saw (-want +got):\n%s", diff)
	}
	if e := <-c.Wait(); e.Code != 7 || e.MaxRSS <= 0 {
		t.Errorf("exit %+v, want code 7 and a resident set", e)
	}
}

// One child that may gain nothing leaves the next one, and us, as we were.
func TestNoNewPrivs(t *testing.T) {
	const look = "grep NoNewPrivs /proc/self/status"
	o := NewOS()
	defer o.Close()
	before := startCommand(t, o, Command{Path: "/bin/sh", Argv: []string{"sh", "-c", look}}).line(t)
	for range 3 {
		bound := startCommand(t, o, Command{Path: "/bin/sh", Argv: []string{"sh", "-c", look}, NoNewPrivs: true})
		if got := bound.line(t); got != "NoNewPrivs:\t1" {
			t.Errorf("bound: %q", got)
		}
		if got := startCommand(t, o, Command{Path: "/bin/sh", Argv: []string{"sh", "-c", look}}).line(t); got != before {
			t.Errorf("the next one: %q, before it was %q", got, before)
		}
	}
	if _, err := o.Start(Command{Path: "/nowhere", NoNewPrivs: true}); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("no such program: %v", err)
	}
}

func TestDescriptorsOfTheChildAreAsListed(t *testing.T) {
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	out, stdout := pipe(t)
	defer out.Close()
	p, err := NewOS().Start(Command{
		Path:  "/bin/sh",
		Argv:  []string{"sh", "-c", "for i in 0 1 2 3 4 5; do [ -e /proc/self/fd/$i ] && echo $i; done; exit 0"},
		Files: []int{int(null.Fd()), int(stdout.Fd()), 2, -1, int(null.Fd())},
	})
	stdout.Close()
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(out)
	<-p.Wait()
	if diff := cmp.Diff("0\n1\n2\n4\n", string(got)); diff != "" || err != nil {
		t.Errorf("open in the child (-want +got):\n%s%v", diff, err)
	}
}

// A start must not turn a socket that others share to blocking mode, as
// os/exec does (FE, summary 2).
func TestStartLeavesSharedSocketsNonBlocking(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var flags int
	if err := conn.Control(func(fd uintptr) {
		var p Process
		if p, err = NewOS().Start(Command{Path: "/bin/sh", Argv: []string{"sh", "-c", ":"}, Files: []int{int(fd)}}); err == nil {
			<-p.Wait()
			flags, err = unix.FcntlInt(fd, unix.F_GETFL, 0)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("flags of the listener %#x, %v; want O_NONBLOCK", flags, err)
	}
}

func TestTwoHundredStartsLeaveNothing(t *testing.T) {
	o := NewOS()
	round := func(n int) {
		var all []Process
		for range n {
			p, err := o.Start(Command{Path: "/bin/true", Argv: []string{"true"}, Files: []int{0, 1, 2}})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, p)
		}
		for _, p := range all {
			if e := <-p.Wait(); e.Code != 0 {
				t.Errorf("exit %+v", e)
			}
		}
	}
	round(1) // the poller opens descriptors of its own
	before := openFiles(t)
	for range 10 {
		round(20)
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d descriptors are open after 200 starts, %d before", after, before)
	}
	if len(o.ours) != 0 {
		t.Errorf("%d processes are still in the books", len(o.ours))
	}
	if pid, err := anyZombie(); pid != 0 || err != nil {
		t.Errorf("zombie %d, %v", pid, err)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestSignalReachesTheGroupAndNobodyLater(t *testing.T) {
	forever, hold := pipe(t)
	defer hold.Close()
	defer forever.Close()
	c := startCommand(t, NewOS(), Command{
		Path: "/bin/sh",
		// The shell outlives the signal; the other member does not. The
		// first wait is the one that the signal may interrupt.
		Argv:  []string{"sh", "-c", "trap : TERM; (trap - TERM; echo ready; read -r line <&3) & wait; wait; echo gone; read -r line"},
		Files: []int{3: int(forever.Fd())},
	})
	c.line(t)
	if err := c.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := c.line(t); got != "gone" {
		t.Errorf("the shell says %q", got)
	}
	if err := c.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-c.Wait()
	if err := c.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal after the end: %v", err)
	}
}

// family starts a member of its own group that stays, and exits.
func family() int {
	self, err := os.Executable()
	if err == nil {
		_, err = syscall.ForkExec(self, []string{self}, &syscall.ProcAttr{
			Env:   []string{roleVariable + "=obey", atOnce},
			Files: []uintptr{0, 1, 2},
		})
	}
	if err != nil {
		return 1
	}
	return 0
}

func TestTheRestOfTheGroupDiesWithItsLeader(t *testing.T) {
	c := startRole(t, NewOS(), "family")
	if e := <-c.Wait(); e.Code != 0 {
		t.Fatalf("exit %+v", e)
	}
	// The member holds standard output, and its standard input stays open.
	if _, err := io.Copy(io.Discard, c.out); err != nil {
		t.Errorf("a member of the group lives on: %v", err)
	}
}

func TestIdentityAndUsageOfAChild(t *testing.T) {
	c := startRole(t, NewOS(), "obey")
	if got := c.line(t); got != "ready" {
		t.Fatalf("child says %q", got)
	}
	started, err := StartTime(c.PID())
	if err != nil || started != c.StartTime() || started == 0 {
		t.Errorf("start time %d, %v; Start found %d", started, err, c.StartTime())
	}
	u, err := c.Usage()
	if err != nil || u.RSS < 1<<20 || u.CPU < 0 || u.CPU > time.Minute {
		t.Errorf("usage %+v, %v; want at least a mebibyte", u, err)
	}
}
