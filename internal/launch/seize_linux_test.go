package launch

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/seize"
)

// seized launches p, whose output is returned, and waits for its notify
// descriptor, or for the error that says why there is none.
func seized(t *testing.T, p Plan) (pid int, out *os.File, notify int, err error) {
	t.Helper()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	out, stdout := pipe(t)
	defer stdout.Close()
	p.Seize, p.NoNewPrivs = true, true
	stage, err := New("/proc/self/exe", p, []int{int(null.Fd()), int(stdout.Fd()), int(stdout.Fd())})
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Close()
	pid = start(t, stage, nil)
	notify, err = stage.Notify(time.Now().Add(20 * time.Second))
	return pid, out, notify, err
}

// A seized program listens on the socket that its supervisor gives it.
func TestSeizedProgram(t *testing.T) {
	slot, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer slot.Close()
	socket, err := slot.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	private, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr, port := private.Addr().String(), private.Addr().(*net.TCPAddr).Port
	private.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	pid, out, notify, err := seized(t, Plan{Path: self, Argv: []string{"program"}, Env: []string{listens + "=" + addr}})
	if err != nil {
		said := read(t, out)
		if errors.Is(err, io.EOF) {
			t.Skip("this system lets no program have a supervisor: " + said)
		}
		t.Fatal(err, said)
	}
	defer unix.Close(notify)
	supervisor := &seize.Supervisor{
		Sockets: map[uint16]int{uint16(port): int(socket.Fd())},
		Report: func(s seize.Seizure, err error) {
			if err != nil || s.PID != pid {
				t.Errorf("report: %v, %v, want pid %d", s, err, pid)
			}
		},
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	over := make(chan error, 1)
	go func() { over <- supervisor.Run(ctx, notify) }()
	if got, want := read(t, out), slot.Addr().String(); got != want {
		t.Errorf("the program listens on %q, want %q", got, want)
	}
	if _, err := syscall.Wait4(pid, nil, 0, nil); err != nil {
		t.Error(err)
	}
	if err := <-over; err != nil {
		t.Error(err)
	}
}

// A launcher that fails before it installs the filter has said why.
func TestLauncherOfASeizedProgramFails(t *testing.T) {
	pid, out, _, err := seized(t, Plan{Path: "/bin/true", Argv: []string{"true"}, Dir: "/nowhere"})
	if !errors.Is(err, io.EOF) {
		t.Errorf("Notify: %v, want the end of the launcher", err)
	}
	if got, want := read(t, out), "launch: chdir /nowhere: no such file or directory"; got != want {
		t.Errorf("the launcher says %q, want %q", got, want)
	}
	if _, err := syscall.Wait4(pid, nil, 0, nil); err != nil {
		t.Error(err)
	}
}

func TestStageOfASeizedProgramIsClosedUnused(t *testing.T) {
	stage, err := New("/proc/self/exe", Plan{Path: "/bin/true", Argv: []string{"true"}, Seize: true, NoNewPrivs: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := stage.Close(); err != nil {
		t.Error(err)
	}
}
