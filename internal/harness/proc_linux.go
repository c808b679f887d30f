package harness

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// ProcPath is a file of proc(5) about a process.
func ProcPath(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}

// Alive reports whether a process runs; a zombie does not.
func Alive(pid int) bool {
	state, err := State(pid, "stat")
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ESRCH)
	}
	return state != 'Z'
}

// State is the letter for the state of a process or a thread, by its file "stat"
// (proc_pid_stat(5)). It follows the name, which may have parentheses itself.
func State(pid int, name string) (byte, error) {
	stat, err := os.ReadFile(ProcPath(pid, name))
	if err != nil {
		return 0, err
	}
	i := bytes.LastIndex(stat, []byte(") "))
	if i < 0 || len(stat) < i+3 {
		return 0, fmt.Errorf("%s of %d: %q", name, pid, stat)
	}
	return stat[i+2], nil
}

// Descriptors are the open files of a process: the number and what it refers to.
func Descriptors(pid int) (open map[string]string, err error) {
	entries, err := os.ReadDir(ProcPath(pid, "fd"))
	if err != nil {
		return nil, err
	}
	open = make(map[string]string)
	for _, e := range entries {
		to, err := os.Readlink(ProcPath(pid, "fd/"+e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has just been closed
		}
		if err != nil {
			return nil, err
		}
		open[e.Name()] = to
	}
	return open, nil
}

// Memory is what a process holds, in bytes.
type Memory struct{ RSS, PSS, Dirty, Anon, File, Peak int }

// MemoryOf reads the memory of a process, and the most that it has had.
func MemoryOf(pid int) (Memory, error) {
	rollup, err := os.ReadFile(ProcPath(pid, "smaps_rollup"))
	if err != nil {
		return Memory{}, err
	}
	status, err := os.ReadFile(ProcPath(pid, "status"))
	if err != nil {
		return Memory{}, err
	}
	return parseMemory(append(rollup, status...))
}

// parseMemory reads lines of proc_pid_smaps(5) and proc_pid_status(5).
func parseMemory(text []byte) (m Memory, err error) {
	fields := map[string]*int{"Rss:": &m.RSS, "Pss:": &m.PSS, "Private_Dirty:": &m.Dirty, "Pss_Anon:": &m.Anon, "Pss_File:": &m.File, "VmHWM:": &m.Peak}
	for line := range bytes.Lines(text) {
		words := bytes.Fields(line)
		if len(words) != 3 || fields[string(words[0])] == nil {
			continue
		}
		n, err := strconv.Atoi(string(words[1]))
		if err != nil || n < 0 || n > 1<<40 {
			return m, fmt.Errorf("line %q", line)
		}
		*fields[string(words[0])] = n << 10
		delete(fields, string(words[0]))
	}
	if len(fields) > 0 {
		return m, fmt.Errorf("%d figures are missing", len(fields))
	}
	return m, nil
}
