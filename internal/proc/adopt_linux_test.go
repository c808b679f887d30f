package proc

import (
	"bufio"
	"errors"
	"io"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// adopt adopts a ward.
func adopt(t *testing.T, o *OS, w *Ward) *process {
	t.Helper()
	p, err := o.Adopt(w.PID, w.Started)
	if err != nil {
		t.Fatal(err)
	}
	if !p.(*process).foreign {
		t.Fatalf("process %d is our child", w.PID)
	}
	return p.(*process)
}

// ended waits for p's exit.
func ended(t *testing.T, p Process) Exit {
	t.Helper()
	select {
	case e := <-p.Wait():
		return e
	case <-time.After(time.Minute):
		t.Fatalf("process %d has not ended", p.PID())
		return Exit{}
	}
}

func TestAdoptRefusesWhatItMustNotSignal(t *testing.T) {
	o := NewOS()
	own, err := StartTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	initStarted, err := StartTime(1)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		pid     int
		started uint64
	}{{0, 0}, {-1, 0}, {-os.Getpid(), own}, {1, initStarted}, {os.Getpid(), own}} {
		if p, err := o.Adopt(c.pid, c.started); !errors.Is(err, errNotAdoptable) || p != nil {
			t.Errorf("adopt %d: %v, %v", c.pid, p, err)
		}
	}
	tid := syscall.Gettid() // the number of a process once, of a thread now
	if tid != os.Getpid() {
		if _, err := o.Adopt(tid, own); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("adopt a thread: %v", err)
		}
	}
	c := startRole(t, o, "obey")
	if _, err := o.Adopt(c.PID(), c.StartTime()); !errors.Is(err, errWatched) {
		t.Errorf("adopt what was started here: %v", err)
	}
	w := StartWard(t, "obey")
	p := adopt(t, o, w)
	if _, err := o.Adopt(w.PID, w.Started); !errors.Is(err, errWatched) {
		t.Errorf("adopt twice: %v", err)
	}
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.Reap()
	ended(t, p)
}

// A worker whose primary was killed goes to init, whoever that is here. How it
// ended is either known and right, or said to be unknown.
func TestAdoptAfterTheParentWasKilled(t *testing.T) {
	for _, when := range []string{"before", "after"} {
		t.Run(when, func(t *testing.T) {
			o, w := NewOS(), StartWard(t, "obey")
			w.line(t)
			if when == "after" {
				w.Orphan(t)
			}
			p := adopt(t, o, w)
			if when == "before" {
				w.Orphan(t)
			}
			if u, err := p.Usage(); err != nil || u.RSS == 0 {
				t.Errorf("usage %+v, %v", u, err)
			}
			before := time.Now()
			if err := p.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			e := ended(t, p)
			if known := e.Signal == syscall.SIGTERM; known == e.Unknown || e.Code != -1 || e.At.Before(before) {
				t.Errorf("exit %+v, want SIGTERM or unknown", e)
			}
		})
	}
}

// A parent that does not reap holds the exit up for a while only.
func TestUnknownExit(t *testing.T) {
	o, w := NewOS(), StartWard(t, "exit 3")
	o.statusPatience = 10 * time.Millisecond
	e := ended(t, adopt(t, o, w))
	if want := (Exit{Code: -1, Unknown: true, At: e.At}); e != want {
		t.Errorf("exit %+v, want %+v", e, want)
	}
}

// The parent reaps after we know of the end.
func TestStatusComesWithTheReaping(t *testing.T) {
	TellsStatus(t)
	w := StartWard(t, "exit 3")
	p := adopt(t, NewPatientOS(), w)
	for !p.isReaped() {
		runtime.Gosched() // p waits for the status from then on
	}
	w.Reap()
	if e := ended(t, p); e.Code != 3 || e.Unknown {
		t.Errorf("exit %+v, want code 3", e)
	}
}

func (p *process) isReaped() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reaped
}

// methods are the ways to signal a foreign group.
func methods(t *testing.T) map[string]groupSignal {
	t.Helper()
	return map[string]groupSignal{"of the kernel": signalGroupOf, "member by member": signalMembers}
}

func TestTheRestOfAForeignGroupDiesWithItsLeader(t *testing.T) {
	for name, method := range methods(t) {
		t.Run(name, func(t *testing.T) {
			o, w := NewOS(), StartWard(t, "family at the end")
			o.signalGroup = method
			w.line(t)
			p := adopt(t, o, w)
			if name == "of the kernel" && groupsByPidfd(t) {
				w.Reap() // may come before we see the end
			}
			if _, err := w.stdin.WriteString("\n"); err != nil { // the member keeps it open
				t.Fatal(err)
			}
			ended(t, p)
			if _, err := io.Copy(io.Discard, w.Out); err != nil {
				t.Errorf("a member of the group lives on: %v", err)
			}
		})
	}
}

// groupsByPidfd tells whether the kernel takes groups from pidfds.
func groupsByPidfd(t *testing.T) bool {
	t.Helper()
	pidfd, err := openPidfd(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(pidfd)
	err = signalPidfdGroup(pidfd, 0)
	return err == nil || errors.Is(err, syscall.ESRCH)
}

func TestSignalReachesAForeignGroup(t *testing.T) {
	for name, method := range methods(t) {
		t.Run(name, func(t *testing.T) {
			o, w := NewOS(), StartWard(t, "trap")
			o.signalGroup = method
			w.line(t)
			p := adopt(t, o, w)
			if err := p.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if got := w.line(t); got != "gone\n" {
				t.Errorf("the shell says %q", got)
			}
			if err := p.Signal(syscall.Signal(999)); !errors.Is(err, syscall.EINVAL) {
				t.Errorf("no signal: %v", err)
			}
			if err := p.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			w.Reap()
			ended(t, p)
			if err := p.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
				t.Errorf("signal after the end: %v", err)
			}
		})
	}
}

// A program may leave its group; it is signalled all the same.
func TestSignalReachesAForeignProcessThatLeftItsGroup(t *testing.T) {
	for name, method := range methods(t) {
		t.Run(name, func(t *testing.T) {
			o, w := NewOS(), StartWard(t, "elsewhere")
			o.signalGroup = method
			w.line(t)
			p := adopt(t, o, w)
			if err := p.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			w.Reap()
			ended(t, p)
		})
	}
}

// lastPID is where a process with the right to do so sets which number the
// next process gets (proc_sys_kernel(5)).
const lastPID = "/proc/sys/kernel/ns_last_pid"

// A number that came back is another process's, and so is the group of that
// number: neither is signalled, measured or adopted.
func TestAReusedNumberIsAStranger(t *testing.T) {
	for name, method := range methods(t) {
		t.Run(name, func(t *testing.T) {
			p, stranger := reused(t, method)
			if !p.hasEnded() {
				t.Error("the first has not ended")
			}
			for what, err := range map[string]error{
				"signal": p.Signal(syscall.SIGKILL),
				"probe":  p.Signal(0),
				"usage":  second(p.Usage()),
				"adopt":  second(NewOS().Adopt(p.pid, p.started)),
			} {
				if !errors.Is(err, os.ErrProcessDone) {
					t.Errorf("%s: %v, want ErrProcessDone", what, err)
				}
			}
			p.lose(false)
			if zombie, err := isZombie(p.pid, syscall.WNOHANG); zombie || err != nil {
				t.Errorf("the stranger was killed (%t, %v)", zombie, err)
			}
			if err := syscall.Kill(stranger, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if status, _, err := reap(stranger, 0); status.Signal() != syscall.SIGKILL || err != nil {
				t.Errorf("the stranger ended with %v, %v", status, err)
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

// reused returns a process as if it were foreign, which has ended and been
// reaped, and a child that has its number and its group now.
func reused(t *testing.T, method groupSignal) (p *process, stranger int) {
	t.Helper()
	in, hold := pipe(t)
	out, stdout := pipe(t)
	t.Cleanup(func() { in.Close(); hold.Close(); out.Close(); stdout.Close() })
	ready := bufio.NewReader(out)
	for range 100 { // others start processes, too
		p := unwatched(t, in, stdout, method)
		if _, err := ready.ReadString('\n'); err != nil { // takes longer than a tick
			t.Fatal(err)
		}
		if err := errors.Join(syscall.Kill(p.pid, syscall.SIGKILL), second2(reap(p.pid, 0))); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(lastPID, []byte(strconv.Itoa(p.pid-1)), 0); err != nil {
			p.pidfd.Close()
			t.Skip("be root to run")
		}
		stranger, err := forkRole("obey", int(in.Fd()), int(stdout.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		if started, err := StartTime(stranger); stranger == p.pid && started != p.started && err == nil {
			t.Cleanup(func() { p.pidfd.Close() })
			return p, stranger
		}
		p.pidfd.Close()
		if err := errors.Join(syscall.Kill(stranger, syscall.SIGKILL), second2(reap(stranger, 0))); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the number does not come back")
	return nil, 0
}

func second2[T, U any](_ T, _ U, err error) error { return err }

// unwatched is a child that is taken for a foreign process and that nobody
// watches.
func unwatched(t *testing.T, stdin, stdout *os.File, method groupSignal) *process {
	t.Helper()
	pid, err := forkRole("obey", int(stdin.Fd()), int(stdout.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	pidfd, err := openPidfd(pid)
	if err != nil {
		t.Fatal(err)
	}
	started, err := StartTime(pid)
	if err != nil {
		t.Fatal(err)
	}
	p := makeProcess(pid, pidfd, started)
	p.foreign, p.signalGroup = true, method
	return p
}

func TestAdoptionsLeaveNothing(t *testing.T) {
	o := NewPatientOS()
	round := func() {
		t.Run("ward", func(t *testing.T) {
			w := StartWard(t, "obey")
			w.line(t)
			if _, err := o.Adopt(w.PID, w.Started+1); err == nil {
				t.Error("adopted another")
			}
			p := adopt(t, o, w)
			if _, err := o.Adopt(w.PID, w.Started); err == nil {
				t.Error("adopted twice")
			}
			if err := p.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			w.Reap()
			ended(t, p)
		})
	}
	round()
	before := openFiles(t)
	for range 5 {
		round()
	}
	if after := openFiles(t); after != before || len(o.ours) != 0 {
		t.Errorf("%d descriptors are open, %d before; %d in the books", after, before, len(o.ours))
	}
}
