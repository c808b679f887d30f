package seize

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// The role of a process of these tests stands in its environment.
const (
	roleVariable    = "SEIZE_TEST_ROLE"
	programVariable = "SEIZE_TEST_PROGRAM" // the role that a launcher executes
)

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		goleak.VerifyTestMain(m)
		return
	}
	if err := roles[role](); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

// program is a child of a test: this binary, in a role.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Reader // its output
}

// patience bounds a wait for what must come.
const patience = 30 * time.Second

// start starts a launcher, which becomes the program of a role with PORT=port.
// three is the launcher's descriptor 3, or nil. The program ends with the test.
func start(t *testing.T, launcher, role string, port uint16, three *os.File) *program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVariable+"="+launcher, programVariable+"="+role, "PORT="+strconv.Itoa(int(port)))
	cmd.Stdout, cmd.Stderr = in, os.Stderr
	cmd.ExtraFiles = []*os.File{three}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // for stop
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := out.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, cmd: cmd, lines: bufio.NewReader(out)}
	t.Cleanup(func() {
		p.stop()
		out.Close()
	})
	return p
}

// stop kills the program with its children, and reaps it.
func (p *program) stop() {
	if p.cmd.ProcessState == nil {
		_ = unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL) // maybe it has gone
		_ = p.cmd.Wait()                                // by a signal
	}
}

// line is the next line of the program's output.
func (p *program) line() string {
	p.t.Helper()
	line, err := p.lines.ReadString('\n')
	if err != nil {
		p.t.Fatalf("output of the program: %q, %v", line, err)
	}
	return strings.TrimSuffix(line, "\n")
}

// pid is that of the program.
func (p *program) pid() int { return p.cmd.Process.Pid }

// seized starts a program whose calls of listen wait for the holder of notify,
// which stays open until the end of the test.
func seized(t *testing.T, role string, port uint16) (p *program, notify int) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "launcher")
	defer theirs.Close()
	conn := unixConn(t, pair[0])
	defer conn.Close()
	p = start(t, "launch", role, port, theirs)
	theirs.Close()
	notify, err = Receive(conn)
	if err != nil {
		answer := p.line()
		if strings.Contains(answer, ErrSupervised.Error()) || strings.Contains(answer, "operation not permitted") || strings.Contains(answer, "not implemented") {
			t.Skip("this system lets no program have a supervisor: " + answer)
		}
		t.Fatalf("%v: the launcher says %q", err, answer)
	}
	t.Cleanup(func() { unix.Close(notify) })
	return p, notify
}

func unixConn(t *testing.T, fd int) *net.UnixConn {
	t.Helper()
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.UnixConn)
}
