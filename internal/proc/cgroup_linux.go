package proc

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Cgroup is the directory of a control group of version 2 (cgroups(7)); empty:
// none. A process that a member starts is a member, even if it leaves its
// parent and its session.
type Cgroup string

// DelegatedCgroup returns our own control group if its manager has delegated
// it, as systemd marks it for Delegate=yes by an attribute.
func DelegatedCgroup() Cgroup {
	mount, path := cgroupMount(), ownCgroup("self")
	if mount == "" || path == "" {
		return ""
	}
	dir := filepath.Join(mount, path)
	for _, attribute := range []string{"user.delegate", "trusted.delegate"} {
		var value [1]byte
		if n, err := unix.Getxattr(dir, attribute, value[:]); err == nil && n == 1 && value[0] == '1' {
			return Cgroup(dir)
		}
	}
	return ""
}

// cgroupMount is where the hierarchy of version 2 is mounted (proc_pid_mountinfo(5)).
func cgroupMount() string {
	b, _ := os.ReadFile("/proc/self/mountinfo") // without the file there is no group
	for line := range strings.Lines(string(b)) {
		left, right, _ := strings.Cut(line, " - ")
		if f := strings.Fields(left); strings.HasPrefix(right, "cgroup2 ") && len(f) > 4 && f[3] == "/" {
			return f[4]
		}
	}
	return ""
}

// ownCgroup is the path of a process's group of version 2 below the mount.
func ownCgroup(process string) string {
	b, _ := os.ReadFile(filepath.Join("/proc", process, "cgroup")) // it has gone
	for line := range strings.Lines(string(b)) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return strings.TrimSuffix(path, "\n")
		}
	}
	return ""
}

// Child makes a group in g, for one process and what it starts; "" if g is ""
// or no more groups can be made.
func (g Cgroup) Child(name string) Cgroup {
	if g == "" {
		return ""
	}
	child := filepath.Join(string(g), name)
	if err := os.Mkdir(child, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return ""
	}
	return Cgroup(child)
}

// Holds reports whether the living process pid is in the group.
func (g Cgroup) Holds(pid int) bool {
	return g != "" && strings.Contains(ownCgroup(strconv.Itoa(pid))+"/", "/"+filepath.Base(string(g))+"/")
}

// members are the processes in the group, and in those that they have made in it.
func (g Cgroup) members() (all []ID) {
	for _, dir := range g.tree() {
		b, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs")) // it has been removed
		for _, word := range strings.Fields(string(b)) {
			pid, err := strconv.Atoi(word)
			if err != nil {
				continue
			}
			started, err := StartTime(pid)
			// In this order: the process with the start time is the one in the group.
			if err == nil && g.Holds(pid) {
				all = append(all, ID{pid, started})
			}
		}
	}
	return all
}

// tree is the group and all below it, each before its children.
func (g Cgroup) tree() (dirs []string) {
	if g == "" {
		return nil
	}
	_ = filepath.WalkDir(string(g), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return nil // what has been removed meanwhile is no loss
	})
	return dirs
}

// kill kills all members at once, since Linux 5.14; before, it signals each.
func (g Cgroup) kill() {
	if g != "" {
		_ = os.WriteFile(filepath.Join(string(g), "cgroup.kill"), []byte("1"), 0)
	}
}

// Remove removes the group, which must have no members any more.
func (g Cgroup) Remove() error {
	for _, dir := range slices.Backward(g.tree()) {
		if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
			return &os.PathError{Op: "remove", Path: dir, Err: err}
		}
	}
	return nil
}
