package proc

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A storm of orphans and of our own exits: each stranger is reaped, and no
// exit status of ours is taken.
func TestStrangersAreReapedAndOursAreNot(t *testing.T) {
	c := startRole(t, NewOS(), "subreaper")
	if got := c.line(t); got != "all 40 of ours exited with 3, no zombies" {
		t.Errorf("subreaper says %q", got)
	}
	if e := <-c.Wait(); e.Code != 0 {
		t.Errorf("exit %+v", e)
	}
}

// subreaper is a process that receives orphans, as pid 1 does.
func subreaper() int {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Println(err)
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	o := NewOS()
	reaping := make(chan error, 1)
	go func() { reaping <- o.ReapStrangers(ctx) }()

	right := 0
	for range 4 {
		right += storm(o, 10)
	}
	for !childless(0) && ctx.Err() == nil {
		runtime.Gosched() // one has ended; let it be reaped
	}
	cancel()
	if err := <-reaping; err != nil {
		fmt.Println(err)
		return 1
	}
	zombies := "zombies left"
	if childless(unix.WNOHANG) {
		zombies = "no zombies"
	}
	fmt.Printf("all %d of ours exited with 3, %s\n", right, zombies)
	return 0
}

// storm starts n processes that leave orphans and counts the right exits.
func storm(o *OS, n int) (right int) {
	self, err := os.Executable()
	if err != nil {
		return 0
	}
	var all []Process
	for range n {
		p, err := o.Start(Command{Path: self, Argv: []string{self}, Env: []string{roleVariable + "=orphans", atOnce}, Files: []int{0, 1, 2}})
		if err == nil {
			all = append(all, p)
		}
	}
	for _, p := range all {
		if e := <-p.Wait(); e.Code == 3 {
			right++
		}
	}
	return right
}

// orphans leaves five children behind, some of them zombies already.
func orphans() int {
	for range 5 {
		if _, err := syscall.ForkExec("/bin/true", []string{"true"}, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}}); err != nil {
			return 1
		}
	}
	return 3
}

// childless tells whether no child is left; without WNOHANG it first waits
// until one has ended.
func childless(options int) bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT|options, nil)
	return err == unix.ECHILD
}

func TestStrangersAreNoneOfAnOrdinaryProcess(t *testing.T) {
	if err := NewOS().ReapStrangers(context.Background()); err != nil {
		t.Error(err)
	}
}
