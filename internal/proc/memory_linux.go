package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// Family is a process and what it has started.
type Family struct {
	Root  ID
	Known []ID   // descendants that were found before, or nil
	Group Cgroup // of all of them; "": their descent tells
	// Limit is what the memory is compared with, in bytes.
	Limit int64
}

// Memory returns what the processes of each family have in memory together, in
// bytes: what several processes share counts in equal parts (PSS,
// proc_pid_smaps(5)). Where the kernel does not let us look at a process, only
// what it has for itself counts. At or below the limit of a family it may be
// more than that: to count shared parts takes the kernel a while for a large
// process, so it is done only where the simple sum is above.
func (o *OS) Memory(families []Family) ([]int64, error) {
	var known []ID
	for _, f := range families {
		known = append(append(known, f.Root), f.Known...)
	}
	all, err := o.readYounger(known)
	if err != nil {
		return nil, err
	}
	sums := make([]int64, len(families))
	for i, f := range families {
		members := all.members(f)
		if sums[i] = all.resident(members); sums[i] <= f.Limit {
			continue
		}
		sums[i] = 0
		for _, id := range members {
			n, err := proportional(id.PID)
			if err != nil {
				return nil, err
			}
			sums[i] += n
		}
	}
	return sums, nil
}

// members are the living processes of a family.
func (all processes) members(f Family) (members []ID) {
	living := map[ID]bool{}
	for _, id := range f.Group.members() {
		living[id] = true
	}
	for _, id := range append([]ID{f.Root}, f.Known...) {
		if all.lives(id) {
			living[id] = true
			for _, d := range all.below(id) {
				living[d] = true
			}
		}
	}
	for id := range living {
		members = append(members, id)
	}
	return members
}

func (all processes) resident(members []ID) (n int64) {
	for _, id := range members {
		n += all.stats[id.PID].pages * int64(os.Getpagesize())
	}
	return n
}

// proportional is the PSS of a process in bytes; 0 if it has gone.
func proportional(pid int) (n int64, err error) {
	dir := "/proc/" + strconv.Itoa(pid)
	b, err := os.ReadFile(dir + "/smaps_rollup")
	if errors.Is(err, os.ErrPermission) {
		return private(dir)
	}
	if err != nil || len(b) == 0 {
		return 0, nil
	}
	if i := bytes.Index(b, []byte("\nPss:")); i >= 0 {
		_, err = fmt.Sscanf(string(b[i+1:]), "Pss: %d kB", &n)
	} else {
		err = errors.New("no line Pss")
	}
	if err != nil {
		return 0, fmt.Errorf("read memory of process %d: %w", pid, err)
	}
	return n << 10, nil
}

// private is what a process has for itself (proc_pid_statm(5)).
func private(dir string) (int64, error) {
	b, err := os.ReadFile(dir + "/statm")
	if err != nil {
		return 0, nil // it has gone
	}
	var size, resident, shared int64
	if _, err := fmt.Sscan(string(b), &size, &resident, &shared); err != nil {
		return 0, fmt.Errorf("%s/statm: %w", dir, err)
	}
	return (resident - shared) * int64(os.Getpagesize()), nil
}
