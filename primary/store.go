package primary

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/notify"
)

// A program may leave descriptors to the next process of its slot (FDSTORE of
// sd_notify(3)). The primary holds them, and the agent a copy of each: they outlive
// either of the two.

// stored is a descriptor that a slot keeps.
type stored struct {
	number  int64 // in the order in which they came; unique in its slot
	name    string
	unasked bool // kept also after a hang-up or an error
	fd      int
	users   atomic.Int32 // the slot, and processes that are being started
}

// maxStored bounds the descriptors that all slots keep together.
const maxStored = 512

func newStored(number int64, name string, unasked bool, fd int) *stored {
	d := &stored{number: number, name: name, unasked: unasked, fd: fd}
	d.users.Store(1)
	return d
}

// release closes it when nobody has it any more. That may take time, as with
// SO_LINGER, so nobody waits for it.
func (d *stored) release() {
	if d.users.Add(-1) == 0 {
		go unix.Close(d.fd)
	}
}

// same reports whether two descriptors are of the same open file (kcmp(2)).
func same(a, b int) bool {
	const file = 0 // KCMP_FILE
	pid := uintptr(os.Getpid())
	differ, _, errno := unix.Syscall6(unix.SYS_KCMP, pid, pid, file, uintptr(a), uintptr(b), 0)
	return errno == 0 && differ == 0
}

// store keeps the descriptors of a message for the slot. One that it has is not kept
// twice.
func (l *loop) store(s *slot, r *process, m notify.Message) {
	s.discardHungUp() // they take no room
	room := min(s.pool.spec.FDStoreMax-len(s.stored), maxStored-l.storedInAll())
	refused := 0
	var added []*stored
	for _, fd := range m.Files {
		switch {
		case slices.ContainsFunc(s.stored, func(d *stored) bool { return same(d.fd, fd) }):
			_ = unix.Close(fd) // not the last of its file
		case room <= len(added):
			refused++
			newStored(0, "", false, fd).release()
		default:
			d := newStored(s.nextNumber(), m.Name, m.Unasked, fd)
			s.stored, added = append(s.stored, d), append(added, d)
		}
	}
	if refused > 0 {
		l.report(s, r.inc, control.EventWorkerTrouble, fmt.Sprintf("wants %d descriptors more to be kept (FDSTORE) than fd_store_max, %d for a slot, or %d for all allow", refused, s.pool.spec.FDStoreMax, maxStored))
	}
	if s.pool.keeper != nil {
		for _, r := range processes(s.pool.keeper.slots) {
			r.keepStored(s, added)
		}
	}
}

func (l *loop) storedInAll() (n int) {
	for _, s := range l.slots() {
		n += len(s.stored)
	}
	return n
}

func (s *slot) nextNumber() int64 {
	n := time.Now().UnixNano()
	for _, d := range s.stored {
		n = max(n, d.number+1)
	}
	return n
}

// discard drops the descriptors of the slot for which drop is true.
func (s *slot) discard(drop func(*stored) bool) {
	s.stored = slices.DeleteFunc(s.stored, func(d *stored) bool {
		if !drop(d) {
			return false
		}
		if s.pool.keeper != nil {
			s.pool.keeper.unkeep(s.keptStored(d))
		}
		d.release()
		return true
	})
}

// discardHungUp drops descriptors on which nothing can come any more.
func (s *slot) discardHungUp() {
	var polled []unix.PollFd
	for _, d := range s.stored {
		if !d.unasked {
			polled = append(polled, unix.PollFd{Fd: int32(d.fd)})
		}
	}
	if n, err := unix.Poll(polled, 0); n <= 0 || err != nil {
		return
	}
	s.discard(func(d *stored) bool {
		return slices.ContainsFunc(polled, func(p unix.PollFd) bool {
			return int(p.Fd) == d.fd && p.Revents&(unix.POLLHUP|unix.POLLERR) != 0
		})
	})
}

func (l *loop) discardHungUp() {
	for _, s := range l.slots() {
		if len(s.stored) > 0 {
			s.discardHungUp()
		}
	}
}

// equipStored gives a new process what its slot keeps. It stays open until the
// process has been started.
func (s *slot) equipStored(e *equipment) {
	s.discardHungUp()
	for _, d := range s.stored {
		e.files, e.listen = append(e.files, d.fd), append(e.listen, d.name)
	}
}

// holdStored keeps open what the slot keeps.
func (s *slot) holdStored() (release func()) {
	all := slices.Clone(s.stored)
	for _, d := range all {
		d.users.Add(1)
	}
	return func() {
		for _, d := range all {
			d.release()
		}
	}
}

const keptDescriptor = " descriptor "

// keptStored is the agent's name of a descriptor.
func (s *slot) keptStored(d *stored) string {
	return fmt.Sprintf("%s%s%d %d %t %s", s.pool.spec.Name, keptDescriptor, s.index, d.number, d.unasked, d.name)
}

// keepStored gives a worker of the agent copies of descriptors.
func (r *process) keepStored(s *slot, all []*stored) {
	for part := range slices.Chunk(all, socketsPerMessage) {
		var names []string
		var fds []int
		for _, d := range part {
			names, fds = append(names, s.keptStored(d)), append(fds, d.fd)
		}
		r.keep(names, fds)
	}
}

// keep gives a worker of the agent copies of descriptors under these names.
func (r *process) keep(names []string, fds []int) {
	if r.conv == nil {
		return // it gets all with its hello
	}
	m := ipc.Sockets{Last: true}
	o := outgoing{kind: ipc.TypeSockets, free: func() error { return nil }}
	for i, fd := range fds {
		fd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			continue // only a kill of this process would show it
		}
		m.Sockets, o.fds = append(m.Sockets, ipc.Socket{Name: names[i]}), append(o.fds, fd)
	}
	o.body = m
	o.free = func() error {
		for _, fd := range o.fds {
			_ = unix.Close(fd) // a copy
		}
		return nil
	}
	if !r.conv.pass(o) {
		o.release()
	}
}

// takeStored takes back a descriptor that the agent has kept; false: it is nothing
// like that, or there already.
func (p *pool) takeStored(name string, fd int) bool {
	rest, ok := strings.CutPrefix(name, p.spec.Name+keptDescriptor)
	words := strings.SplitN(rest, " ", 4)
	if !ok || len(words) < 4 {
		return false
	}
	index, err := strconv.Atoi(words[0])
	number, err2 := strconv.ParseInt(words[1], 10, 64)
	if err != nil || err2 != nil || index < 0 || index >= len(p.slots) {
		return false
	}
	s := p.slots[index]
	if slices.ContainsFunc(s.stored, func(d *stored) bool { return d.number == number }) || len(s.stored) >= p.spec.FDStoreMax {
		return false
	}
	s.stored = append(s.stored, newStored(number, words[3], words[2] == "true", fd))
	slices.SortFunc(s.stored, func(a, b *stored) int { return cmp.Compare(a.number, b.number) })
	return true
}

// storedImage is a descriptor that goes over an exec.
type storedImage struct {
	Slot    int    `cbor:"slot"`
	Number  int64  `cbor:"number"`
	Name    string `cbor:"name"`
	Unasked bool   `cbor:"unasked,omitempty"`
	FD      int    `cbor:"fd"`
}

func (p *pool) storedImages() (all []storedImage) {
	for _, s := range p.slots {
		for _, d := range s.stored {
			all = append(all, storedImage{s.index, d.number, d.name, d.unasked, d.fd})
		}
	}
	return all
}

func (im *image) restoreStored(p *pool) {
	for _, i := range im.Stored[p.spec.Name] {
		if i.Slot < len(p.slots) {
			s := p.slots[i.Slot]
			s.stored = append(s.stored, newStored(i.Number, i.Name, i.Unasked, i.FD))
		}
	}
}
