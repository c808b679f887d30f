package proc

import (
	"fmt"
	"os"
	"syscall"
)

// maxParents bounds the way from a process to one that it descends from.
const maxParents = 64

// IsKin reports whether the process pid descends from root, or is in its process
// group or session. Root may be a zombie; it must not have been reaped.
func IsKin(pid int, root ID) bool {
	r, err := readStat(root.PID)
	if err != nil || r.started != root.Started {
		return false
	}
	s, err := readStat(pid)
	if err == nil && (s.group == root.PID || s.session == root.PID) {
		return true
	}
	for range maxParents {
		if err != nil || s.started < root.Started {
			return false
		}
		if s.parent == root.PID {
			return true
		}
		s, err = readStat(s.parent)
	}
	return false
}

// IsOrphan reports whether the process pid has become a child of this one because
// its parents have ended, and runs as the user uid.
func (o *OS) IsOrphan(pid int, uid uint32) bool {
	s, err := readStat(pid)
	if err != nil || s.parent != os.Getpid() {
		return false
	}
	o.mu.Lock()
	started := o.ours[pid]
	o.mu.Unlock()
	info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil || started != nil {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && owner.Uid == uid
}
