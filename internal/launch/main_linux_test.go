package launch

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// before tells a launcher of these tests what to do to itself first, as a
// parent with odd habits would have done.
const before = "LAUNCH_TEST_BEFORE"

// listens makes this binary a program that listens on its value and tells the
// address that it has then.
const listens = "LAUNCH_TEST_LISTEN"

func TestMain(m *testing.M) {
	if addr := os.Getenv(listens); addr != "" {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(ln.Addr())
		return
	}
	if os.Getenv(RoleVariable) != Role {
		goleak.VerifyTestMain(m)
		return
	}
	switch os.Getenv(before) {
	case "ignore signals":
		signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGTERM, syscall.SIGUSR2, syscall.SIGCHLD)
	case "hard limit 64":
		limit := syscall.Rlimit{Cur: 64, Max: 64}
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
		// Even root may not raise it without this.
		_ = dropResourceCapability()
	}
	fmt.Fprintln(os.Stderr, Run())
	os.Exit(ExitCode)
}

// dropResourceCapability gives up CAP_SYS_RESOURCE (capabilities(7)).
func dropResourceCapability() error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return err
	}
	data[0].Effective &^= 1 << unix.CAP_SYS_RESOURCE
	data[0].Permitted &^= 1 << unix.CAP_SYS_RESOURCE
	return unix.Capset(&head, &data[0])
}

// result is how a launch ended.
type result struct {
	pid    int
	code   int
	out    string // standard output
	errors string // standard error
}

// launch carries out p in a child with no standard input, its output and
// errors, and extra descriptors from 3 on.
func launch(t *testing.T, p Plan, env []string, extra ...int) result {
	t.Helper()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	out, stdout := pipe(t)
	errs, stderr := pipe(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	files := append([]int{int(null.Fd()), int(stdout.Fd()), int(stderr.Fd())}, extra...)
	stage, err := New(self, p, files)
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Close()
	pid := start(t, stage, env)
	stdout.Close()
	stderr.Close()
	r := result{pid: pid, out: read(t, out), errors: read(t, errs)}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		t.Fatal(err)
	}
	r.code = status.ExitStatus()
	return r
}

func start(t *testing.T, s *Stage, env []string) (pid int) {
	t.Helper()
	files := make([]uintptr, len(s.Files))
	for i, fd := range s.Files {
		files[i] = uintptr(fd)
	}
	pid, err := syscall.ForkExec(s.Path, s.Argv, &syscall.ProcAttr{Env: append(env, s.Env...), Files: files})
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

func read(t *testing.T, f *os.File) string {
	t.Helper()
	defer f.Close()
	if err := f.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}
