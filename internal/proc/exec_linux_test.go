package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Children survive execve(2), and so does what the kernel knows of one that
// ended before it, provided that nobody reaps it on the way.
func TestAdoptAfterExecInPlace(t *testing.T) {
	c := startRole(t, NewOS(), "before exec")
	if got := c.line(t); got != "zombie: code 3; child: signal terminated; nobody else" {
		t.Errorf("after exec: %s", got)
	}
}

// childrenVariable passes two children over exec.
const childrenVariable = "PROC_TEST_CHILDREN"

func beforeExec() (string, error) {
	o := NewOS()
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	in, end, err := os.Pipe()
	if err != nil {
		return "", err
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return "", err
	}
	start := func(role string, stdin *os.File) Process {
		p, startErr := o.Start(Command{
			Path: self, Argv: []string{self}, Env: []string{roleVariable + "=" + role, atOnce},
			Files: []int{int(stdin.Fd()), int(null.Fd()), 2},
		})
		err = errors.Join(err, startErr)
		return p
	}
	p, q := start("three at the end", in), start("obey", os.Stdin)
	if err != nil {
		return "", err
	}
	o.Freeze()
	end.Close()
	if _, err := isZombie(p.PID(), 0); err != nil {
		return "", err
	}
	return "", syscall.Exec(self, []string{self}, []string{
		roleVariable + "=after exec", atOnce,
		fmt.Sprintf("%s=%d %d %d %d", childrenVariable, p.PID(), p.StartTime(), q.PID(), q.StartTime()),
	})
}

func afterExec() (string, error) {
	var pid, other int
	var started, otherStarted uint64
	if _, err := fmt.Sscan(os.Getenv(childrenVariable), &pid, &started, &other, &otherStarted); err != nil {
		return "", err
	}
	o := NewOS()
	zombie, err1 := o.Adopt(pid, started)
	child, err2 := o.Adopt(other, otherStarted)
	if err := errors.Join(err1, err2); err != nil {
		return "", err
	}
	e := <-zombie.Wait()
	if err := child.Signal(syscall.SIGTERM); err != nil {
		return "", err
	}
	f := <-child.Wait()
	rest := "nobody else"
	if !childless(unix.WNOHANG) {
		rest = "a child is left"
	}
	return fmt.Sprintf("zombie: code %d; child: signal %v; %s", e.Code, f.Signal, rest), nil
}

// A process that was foreign when it was adopted may become our child, if we
// are a subreaper; then we reap it and know all about it.
func TestAForeignProcessThatBecomesOurs(t *testing.T) {
	c := startRole(t, NewOS(), "heir")
	if got := c.line(t); got != "foreign true; signal terminated, resident set true; no zombies" {
		t.Errorf("heir says %q", got)
	}
}

func heir() (string, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return "", err
	}
	o := NewOS()
	nanny, pid, started, err := heirsNanny(o)
	if err != nil {
		return "", err
	}
	p, err := o.Adopt(pid, started)
	if err != nil {
		return "", err
	}
	foreign := p.(*process).foreign
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	reaping := make(chan error, 1)
	go func() { reaping <- o.ReapStrangers(ctx) }()
	if err := nanny.Signal(syscall.SIGKILL); err != nil {
		return "", err
	}
	<-nanny.Wait()
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return "", err
	}
	e := <-p.Wait()
	cancel()
	zombies := "no zombies"
	if err := <-reaping; err != nil || !childless(unix.WNOHANG) {
		zombies = fmt.Sprintf("a zombie, %v", err)
	}
	return fmt.Sprintf("foreign %t; signal %v, resident set %t; %s", foreign, e.Signal, e.MaxRSS > 0, zombies), nil
}

// heirsNanny starts a nanny with a child that obeys.
func heirsNanny(o *OS) (nanny Process, pid int, started uint64, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, 0, 0, err
	}
	report, stdout, err := os.Pipe()
	if err != nil {
		return nil, 0, 0, err
	}
	defer report.Close()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, 0, 0, err
	}
	nanny, err = o.Start(Command{
		Path: self, Argv: []string{self},
		Env:   []string{roleVariable + "=nanny", childVariable + "=obey", atOnce},
		Files: []int{0, int(stdout.Fd()), 2, 0, 0, int(null.Fd())},
	})
	stdout.Close()
	if err == nil {
		_, err = fmt.Fscan(report, &pid, &started)
	}
	return nanny, pid, started, err
}

func TestFreezeKeepsExitsAndStarts(t *testing.T) {
	o := NewOS()
	c := startRole(t, o, "obey")
	c.line(t)
	thaw := o.Freeze()
	if err := c.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := isZombie(c.PID(), 0); err != nil {
		t.Fatal(err)
	}
	started := make(chan Process, 1)
	go func() {
		p, err := o.Start(Command{Path: "/bin/true", Argv: []string{"true"}})
		if err != nil {
			t.Error(err)
		}
		started <- p
	}()
	select {
	case e := <-c.Wait():
		t.Errorf("exit %+v while frozen", e)
	case p := <-started:
		t.Errorf("%d started while frozen", p.PID())
		started <- p
	case <-time.After(50 * time.Millisecond):
	}
	if zombie, err := isZombie(c.PID(), unix.WNOHANG); !zombie || err != nil {
		t.Errorf("zombie %t, %v: it was reaped while frozen", zombie, err)
	}
	thaw()
	thaw()
	if e := ended(t, c); e.Signal != syscall.SIGKILL {
		t.Errorf("exit %+v, want SIGKILL", e)
	}
	if e := ended(t, <-started); e.Code != 0 {
		t.Errorf("exit %+v, want code 0", e)
	}
}
