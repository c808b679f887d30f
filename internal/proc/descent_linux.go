package proc

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ID identifies a process until the machine ends, also when its pid is used
// again.
type ID struct {
	PID     int    `cbor:"pid"`
	Started uint64 `cbor:"start"` // [StartTime]
}

// ReceiveOrphans makes descendants whose parents have ended our children
// (prctl(2), PR_SET_CHILD_SUBREAPER). [OS.ReapStrangers] must reap them.
func ReceiveOrphans() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become a subreaper: %w", err)
	}
	return nil
}

// Descendants returns the living descendants of each root: its children, their
// children and so on, and all processes of each session that one of them leads.
// It misses a process whose parent and session leader have both ended. A root
// that has ended is not in the answer.
func (o *OS) Descendants(roots []ID) (map[ID][]ID, error) {
	all, err := o.readYounger(roots)
	if err != nil {
		return nil, err
	}
	found := make(map[ID][]ID, len(roots))
	for _, root := range roots {
		if all.lives(root) {
			found[root] = all.below(root)
		}
	}
	return found, nil
}

// processes are those of the machine at one moment, by pid.
type processes struct {
	stats     map[int]stat
	children  map[int][]int
	inSession map[int][]int
}

// readYounger reads the processes that may be descendants of the roots: neither
// they nor their session are older, unless it is the session of a root, or ours,
// which the root was born in. Of most others, such as kernel threads, only the
// session is asked, of our other children nothing.
func (o *OS) readYounger(roots []ID) (processes, error) {
	all := processes{stats: map[int]stat{}, children: map[int][]int{}, inSession: map[int][]int{}}
	pids, err := numbers("/proc")
	if err != nil {
		return all, err
	}
	outside, oldest, err := outsiders(roots)
	if err != nil {
		return all, err
	}
	besides, buf := o.besides(roots), make([]byte, statRoom)
	for _, pid := range pids {
		if besides[pid] {
			continue
		}
		if sid, err := unix.Getsid(pid); err == nil && outside(sid) {
			continue
		}
		s, err := readStatBy(buf, pid)
		if err != nil || s.ended || s.started < oldest {
			continue // an error: it has just gone
		}
		all.add(pid, s)
	}
	return all, nil
}

// besides are our children that are no roots, by pid: of hundreds of workers each
// is no descendant of another.
func (o *OS) besides(roots []ID) map[int]bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make(map[int]bool, len(o.ours))
	for pid, p := range o.ours {
		all[pid] = !p.foreign
	}
	for _, root := range roots {
		delete(all, root.PID)
	}
	return all
}

// outsiders tells which sessions are older than all roots, and how old these are.
func outsiders(roots []ID) (outside func(sid int) bool, oldest uint64, err error) {
	ours, err := unix.Getsid(0)
	if err != nil {
		return nil, 0, err
	}
	known := map[int]bool{ours: false}
	oldest = math.MaxUint64
	for _, root := range roots {
		oldest = min(oldest, root.Started)
		if sid, err := unix.Getsid(root.PID); err == nil {
			known[sid] = false
		}
	}
	return func(sid int) bool {
		old, ok := known[sid]
		if !ok { // 0: its leader is out of sight
			leader, err := readStat(sid)
			old = sid == 0 || err == nil && leader.started < oldest
			known[sid] = old
		}
		return old
	}, oldest, nil
}

func (all processes) add(pid int, s stat) {
	all.stats[pid] = s
	all.children[s.parent] = append(all.children[s.parent], pid)
	all.inSession[s.session] = append(all.inSession[s.session], pid)
}

func (all processes) lives(id ID) bool {
	s, ok := all.stats[id.PID]
	return ok && s.started == id.Started
}

// below returns the descendants of a living root, nearest first, without this
// process and its descendants.
func (all processes) below(root ID) []ID {
	seen := map[int]bool{root.PID: true, os.Getpid(): true}
	var found []ID
	next := []int{root.PID}
	for len(next) > 0 {
		pid := next[0]
		next = next[1:]
		kin := all.children[pid]
		if pid != root.PID {
			kin = append(slices.Clone(kin), all.inSession[pid]...)
		}
		for _, k := range kin {
			// One that is older has a parent or a leader of this number that
			// ended while we looked.
			if s := all.stats[k]; !seen[k] && s.started >= all.stats[pid].started {
				seen[k] = true
				found, next = append(found, ID{k, s.started}), append(next, k)
			}
		}
	}
	return found
}

// killWait is how long the kernel may take to end processes that were killed.
const killWait = 5 * time.Second

// End ends the processes in known and the members of their control group (""
// for none). Each gets TERM and, when patience is over, KILL, and so does every
// process that they start meanwhile. End returns when all have gone, with the
// number that there were at first.
func (o *OS) End(known []ID, group Cgroup, patience time.Duration) (ended int, err error) {
	all := o.remaining(known, group)
	ended = len(all)
	if len(all) > 0 {
		send(all, unix.SIGTERM)
		o.await(all, patience)
	}
	for range maxPasses {
		if all = o.remaining(all, group); len(all) == 0 {
			return ended, group.Remove()
		}
		group.kill()
		send(all, unix.SIGKILL)
		o.await(all, killWait)
	}
	return ended, fmt.Errorf("%d processes do not end even by KILL", len(all))
}

// remaining returns the living processes in known, their descendants, and the
// members of the group.
func (o *OS) remaining(known []ID, group Cgroup) []ID {
	living := map[ID]bool{}
	for _, id := range group.members() {
		living[id] = true
	}
	if len(known) > 0 {
		all, err := o.readYounger(known)
		for _, id := range known {
			switch {
			case err != nil:
				living[id] = true // signals reach no other process
			case all.lives(id):
				living[id] = true
				for _, d := range all.below(id) {
					living[d] = true
				}
			}
		}
	}
	ids := make([]ID, 0, len(living))
	for id := range living {
		ids = append(ids, id)
	}
	return ids
}

// send signals each process by a pidfd that was opened before its start time
// was checked.
func send(all []ID, sig syscall.Signal) {
	for _, id := range all {
		pidfd, err := unix.PidfdOpen(id.PID, 0)
		if err != nil {
			continue // it has gone
		}
		if started, err := StartTime(id.PID); err == nil && started == id.Started {
			_ = unix.PidfdSendSignal(pidfd, sig, nil, 0) // it has gone
		}
		unix.Close(pidfd)
	}
}

// await returns when all have ended, or after killWait.
func (o *OS) await(all []ID, within time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for _, id := range all {
		p, err := o.Adopt(id.PID, id.Started)
		if errors.Is(err, errWatched) {
			p = o.watched(id)
		}
		if p == nil {
			continue
		}
		select {
		case <-p.(*process).gone:
		case <-ctx.Done():
			return
		}
	}
}

// watched returns the process with this identity from the books; nil if it has
// left them.
func (o *OS) watched(id ID) Process {
	o.mu.Lock()
	defer o.mu.Unlock()
	if p := o.ours[id.PID]; p != nil && p.started == id.Started {
		return p
	}
	return nil
}
