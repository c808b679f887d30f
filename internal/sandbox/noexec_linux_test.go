package sandbox_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/sandbox"
)

const childVariable = "SANDBOX_TEST_CHILD"

// TestMain is also the process that gives its rights up: that cannot be undone.
func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		if err := child(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child holds threads that were there before, gives the right up on one of
// them, and tries all of them.
func child() error {
	const threads = 8
	var started, done sync.WaitGroup
	started.Add(threads)
	locked, results := make(chan struct{}), make(chan error, threads)
	for range threads {
		done.Go(func() {
			runtime.LockOSThread() // a thread of its own; it ends with the goroutine
			started.Done()
			<-locked
			results <- tryAll()
		})
	}
	started.Wait()
	if err := exec.Command("/bin/true").Run(); err != nil {
		return fmt.Errorf("before: %w", err)
	}
	if err := sandbox.NoExec(); err != nil {
		return err
	}
	close(locked)
	done.Wait()
	close(results)
	for err := range results {
		if err != nil {
			return err
		}
	}
	return nil
}

func tryAll() error {
	if err := exec.Command("/bin/true").Run(); !errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("a program: %v", err)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_PTRACE, unix.PTRACE_ATTACH, uintptr(os.Getppid()), 0); errno != unix.EPERM {
		return fmt.Errorf("ptrace: %v", errno)
	}
	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return err
	}
	if !strings.Contains(string(status), "NoNewPrivs:\t1\n") {
		return errors.New("a thread without no_new_privs")
	}
	return nil
}

// G9: a shell worker that was taken over through a parser starts no program, on
// none of its threads.
func TestG9_no_exec(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childVariable+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
