package tagged

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Process is one that carries the variable.
type Process struct {
	PID     int
	Command string // its arguments
}

func (p Process) String() string { return fmt.Sprintf("%d: %s", p.PID, p.Command) }

// All lists the processes with that variable, NAME=VALUE, in their environment.
func All(variable string) ([]Process, error) {
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
	env, err := os.ReadFile(path(pid, "environ"))
	if err != nil { // it has gone, or is not ours to look at
		return false
	}
	return slices.ContainsFunc(bytes.Split(env, []byte{0}), func(v []byte) bool { return string(v) == variable })
}

// Kill ends one process at once, if it carries the variable.
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
	text, err := os.ReadFile(path(pid, "cmdline"))
	if err != nil {
		return "?" // it has just gone
	}
	return strings.TrimSpace(string(bytes.ReplaceAll(text, []byte{0}, []byte{' '})))
}

func path(pid int, name string) string { return filepath.Join("/proc", strconv.Itoa(pid), name) }
