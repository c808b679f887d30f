package proc

import (
	"bufio"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"
)

// childVariable names the role of a nanny's child.
const childVariable = "PROC_TEST_CHILD"

// The nanny's descriptors beside the standard ones.
const (
	nannyOrders   = 3 + iota // it reaps its child when this ends
	nannyChildIn             // its child's standard input
	nannyChildOut            // its child's standard output
)

// nanny is the parent of a process that the test adopts.
func nanny() int {
	pid, err := forkRole(os.Getenv(childVariable), nannyChildIn, nannyChildOut)
	if err != nil {
		return 1
	}
	for fd := nannyChildIn; fd <= nannyChildOut; fd++ {
		syscall.Close(fd)
	}
	started, err := StartTime(pid)
	fmt.Println(pid, started, err)
	_, _ = bufio.NewReader(os.NewFile(nannyOrders, "orders")).ReadString('\n')
	_, _, _ = reap(pid, 0)
	stay()
	return 0
}

// forkRole starts this binary in a role, in a group of its own, as [OS.Start]
// does but without watching it.
func forkRole(role string, stdin, stdout int) (pid int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	return syscall.ForkExec(self, []string{self}, &syscall.ProcAttr{
		Env:   []string{roleVariable + "=" + role, atOnce},
		Files: []uintptr{uintptr(stdin), uintptr(stdout), 2},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	})
}

// ForkBehaviour starts a child that nobody watches, as an earlier image of this
// process would have left it.
func ForkBehaviour(t *testing.T, role string) (pid int, started uint64, out *bufio.Reader) {
	t.Helper()
	stdin, hold := pipe(t)
	read, stdout := pipe(t)
	pid, err := forkRole(role, int(stdin.Fd()), int(stdout.Fd()))
	stdin.Close()
	stdout.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hold.Close(); read.Close() })
	started, err = StartTime(pid)
	if err != nil {
		t.Fatal(err)
	}
	return pid, started, bufio.NewReader(read)
}

// Ward is a process in the care of a nanny: to the test it is foreign.
type Ward struct {
	PID     int
	Started uint64
	Out     *bufio.Reader // its standard output

	nanny  Process
	stdin  *os.File // of the ward
	orders *os.File
}

// StartWard starts a process that is not our child. Its parent reaps it after
// Reap only. It ends with the test.
func StartWard(t *testing.T, role string) *Ward {
	t.Helper()
	orders, give := pipe(t)
	stdin, hold := pipe(t)
	out, stdout := pipe(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	n := startCommand(t, NewOS(), Command{
		Path: self, Argv: []string{self},
		Env:   []string{roleVariable + "=nanny", childVariable + "=" + role, atOnce},
		Files: []int{0, 1, 2, int(orders.Fd()), int(stdin.Fd()), int(stdout.Fd())},
	})
	orders.Close()
	stdin.Close()
	stdout.Close()
	w := &Ward{nanny: n.Process, stdin: hold, orders: give, Out: bufio.NewReader(out)}
	t.Cleanup(func() { w.Reap(); w.Finish(); out.Close() })
	var verdict string
	if _, err := fmt.Sscan(n.line(t), &w.PID, &w.Started, &verdict); err != nil || w.PID <= 1 {
		t.Fatalf("nanny says %d, %d, %s; %v", w.PID, w.Started, verdict, err)
	}
	t.Cleanup(func() { // should the test have failed before it ended
		o := NewOS()
		o.statusPatience = 0
		if p, err := o.Adopt(w.PID, w.Started); err == nil {
			_ = p.Signal(syscall.SIGKILL)
			<-p.Wait()
		}
	})
	if err := out.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return w
}

// Reap lets the parent wait for the ward and reap it.
func (w *Ward) Reap() { w.orders.Close() }

// Finish ends the ward's standard input.
func (w *Ward) Finish() { w.stdin.Close() }

// Orphan kills the parent.
func (w *Ward) Orphan(t *testing.T) {
	t.Helper()
	if err := w.nanny.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-w.nanny.Wait()
}

func (w *Ward) line(t *testing.T) string {
	t.Helper()
	s, err := w.Out.ReadString('\n')
	if err != nil {
		t.Fatalf("read from process %d: %v", w.PID, err)
	}
	return s
}

// NewPatientOS waits for a foreign process's status longer than a slow machine
// needs.
func NewPatientOS() *OS {
	o := NewOS()
	o.statusPatience = time.Minute
	return o
}

// TellsStatus skips the test where the kernel keeps the status of a foreign
// process for itself.
func TellsStatus(t *testing.T) {
	t.Helper()
	pidfd, err := openPidfd(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(pidfd)
	if _, _, err := readStatus(pidfd); err != nil {
		t.Skip("use Linux 6.15 or later to run")
	}
}
