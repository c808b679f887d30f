package harness

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Process is a process that carries a variable, NAME=VALUE, in its environment:
// every process of a cluster under test does, and everything that these start,
// unless it is given another environment.
type Process struct {
	PID     int
	Command string // its arguments
}

func (p Process) String() string { return fmt.Sprintf("%d: %s", p.PID, p.Command) }

// Tagged lists the processes with that variable. Zombies have none.
func Tagged(variable string) ([]Process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []Process
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && Has(pid, variable) {
			found = append(found, Process{pid, command(pid)})
		}
	}
	return found, nil
}

// Has reports whether a process carries the variable.
func Has(pid int, variable string) bool {
	env, err := os.ReadFile(ProcPath(pid, "environ"))
	if err != nil { // it has gone, or is not ours to look at
		return false
	}
	return slices.ContainsFunc(bytes.Split(env, []byte{0}), func(v []byte) bool { return string(v) == variable })
}

// Clear kills the processes with that variable and returns them. It repeats
// this until there is none, because a primary may start more meanwhile.
func Clear(variable string) (left []Process, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	err = Poll(ctx, func() bool {
		now, listErr := Tagged(variable)
		if listErr != nil {
			return false
		}
		for _, p := range now {
			if !slices.ContainsFunc(left, func(q Process) bool { return q.PID == p.PID }) {
				left = append(left, p)
			}
			Kill(p.PID, variable)
		}
		return len(now) == 0
	})
	return left, err
}

// Kill kills one process if its pid still means one with the variable.
func Kill(pid int, variable string) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return // it has gone
	}
	defer unix.Close(fd)
	if Has(pid, variable) {
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) // it has gone meanwhile
	}
}

func command(pid int) string {
	text, err := os.ReadFile(ProcPath(pid, "cmdline"))
	if err != nil {
		return "?" // it has just gone
	}
	return strings.TrimSpace(string(bytes.ReplaceAll(text, []byte{0}, []byte{' '})))
}
