package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// process is one of a script's processes.
type process struct {
	pid     int
	cmdline string
}

func (p process) String() string { return fmt.Sprintf("%d: %s", p.pid, p.cmdline) }

// processes lists those whose environment names the script's directory: every
// process that the script started, and what those started, unless it took an
// environment of its own. Zombies have none.
func processes(work string) ([]process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if belongs(pid, work) {
			found = append(found, process{pid, cmdline(pid)})
		}
	}
	return found, nil
}

func belongs(pid int, work string) bool {
	env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil { // it has gone, or is not ours to look at
		return false
	}
	return slices.ContainsFunc(bytes.Split(env, []byte{0}), func(v []byte) bool { return string(v) == "WORK="+work })
}

func cmdline(pid int) string {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil {
		return "?" // it has just gone
	}
	return strings.TrimSpace(string(bytes.ReplaceAll(text, []byte{0}, []byte{' '})))
}

// clear kills what is left of a script and returns what that was. It looks
// again until nothing is left: what a primary started meanwhile dies, too.
func clear(work string) (left []process, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err = poll(ctx, func() bool {
		now, listErr := processes(work)
		if listErr != nil {
			return false
		}
		for _, p := range now {
			if !slices.ContainsFunc(left, func(q process) bool { return q.pid == p.pid }) {
				left = append(left, p)
			}
			kill(p.pid, work)
		}
		return len(now) == 0
	})
	return left, err
}

// kill ends one process, if the pid still means the script's.
func kill(pid int, work string) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return // it has gone
	}
	defer unix.Close(fd)
	if belongs(pid, work) {
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) // it has gone meanwhile
	}
}

// noOrphans waits until nothing of the script runs any more.
func noOrphans(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	within, args := takeWithin(ts, args, 5*time.Second)
	if len(args) > 0 {
		ts.Fatalf("usage: noorphans [-within D]")
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	var left []process
	err := poll(ctx, func() bool {
		var listErr error
		left, listErr = processes(of(ts).work)
		return listErr == nil && len(left) == 0
	})
	if err != nil {
		ts.Fatalf("still there after %v: %v", within, left)
	}
}

// sig sends a signal to processes of the script.
func sig(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	if len(args) < 2 {
		ts.Fatalf("usage: sig NAME PID…")
	}
	number := unix.SignalNum("SIG" + args[0])
	if number == 0 {
		ts.Fatalf("no signal %q", args[0])
	}
	for _, pid := range pids(ts, args[1:]) {
		if !belongs(pid, of(ts).work) {
			ts.Fatalf("process %d is none of the script's", pid)
		}
		ts.Check(unix.Kill(pid, number))
	}
}

func pids(ts *testscript.TestScript, words []string) []int {
	var all []int
	for _, w := range words {
		pid, err := strconv.Atoi(w)
		if err != nil || pid <= 1 {
			ts.Fatalf("pid %q", w)
		}
		all = append(all, pid)
	}
	return all
}

// gone waits until processes have ended.
func gone(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	within, args := takeWithin(ts, args, patience)
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for _, pid := range pids(ts, args) {
		if err := poll(ctx, func() bool { return !alive(pid) }); err != nil {
			ts.Fatalf("process %d still runs after %v", pid, within)
		}
	}
}

// alive tells whether a process runs; a zombie does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ESRCH)
	}
	_, rest, ok := bytes.Cut(stat, []byte(") ")) // proc(5): the state follows the name
	return !ok || !bytes.HasPrefix(rest, []byte("Z"))
}

// worker puts the pid of a worker's process into a variable.
func worker(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	if len(args) != 2 {
		ts.Fatalf("usage: worker VAR ID")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var list struct {
		Workers []struct {
			ID  string
			PID int
		}
	}
	s := of(ts)
	ts.Check(s.ask(ctx, ts, &list, "worker", "list", "--json"))
	for _, w := range list.Workers {
		if w.ID == args[1] && w.PID != 0 {
			s.set(ts, args[0], strconv.Itoa(w.PID))
			return
		}
	}
	ts.Fatalf("no process of %s in %+v", args[1], list)
}
