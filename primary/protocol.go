package primary

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/launch"
)

// protocol is how the primary and the workers of a pool understand each other.
// The loop calls its methods.
type protocol interface {
	// equip prepares what a new process of a slot is given. The function that it
	// returns runs beside the loop, just before the start.
	equip(l *loop, s *slot, r *process) func() (equipment, error)
	// drain asks a process to finish what it has accepted; false: it could not be
	// asked, and gets TERM. It sets closed if the process will not say when it
	// accepts no more.
	drain(l *loop, s *slot, r *process, d ipc.Drain) bool
	// speaks reports whether processes say hello to each primary, report when
	// they are ready and accept no more, and beat: only then silence means
	// something.
	speaks() bool
}

// protocols are those that a pool may have.
var protocols = map[control.Protocol]protocol{
	control.ProtocolLibrary: library{},
	control.ProtocolNotify:  foreign{},
	control.ProtocolMute:    foreign{},
	control.ProtocolListen:  foreign{},
	control.ProtocolProbe:   foreign{},
}

// equipment is what a new process gets besides its standard streams.
type equipment struct {
	env   []string // in addition to that of its generation
	files []int    // from descriptor 3 on
	// listen names the sockets, which are the first of files, for LISTEN_FDS.
	listen []string
	// gate, when not 0, is the reading end of the pipe at which the launcher waits.
	gate   int
	awaits func(line string) bool // each line of its output, until it returns true; nil: none
	close  func()                 // closes what was made for this process alone, once it has started
	port   string                 // private, that it is told
	// supervise takes the descriptor over which its calls of listen(2) are
	// answered; nil: they are its own.
	supervise func(notify int)
}

// library is the protocol of package worker, over worker.sock.
type library struct{}

func (library) speaks() bool { return true }

func (library) equip(l *loop, s *slot, r *process) func() (equipment, error) {
	b, fds := l.boot(s, r), s.pool.descriptors(s, r.gen)
	fds = s.pool.equipKeeper(&b, fds)
	return func() (equipment, error) {
		boot, err := bootFile(b)
		return equipment{
			env:   []string{RoleVariable + "=" + RoleWorker, BootVariable + "=" + strconv.Itoa(bootFD), RunVariable + "=" + l.cfg.Run},
			files: append([]int{boot}, fds...),
			close: func() { _ = unix.Close(boot) }, // sealed, and the process has it
		}, err
	}
}

// drain answers a process of an earlier primary, which looks for this one, when
// it says hello: it might have had a TERM of that primary, and would cut at a
// second one.
func (library) drain(l *loop, s *slot, r *process, d ipc.Drain) bool {
	if r.conv == nil && r.peer == 0 && !l.stopping {
		return true
	}
	m := outgoing{kind: ipc.TypeDrain, body: d}
	if !d.Final {
		l.handOver(s, r, &m)
	}
	told := r.conv != nil && r.conv.pass(m)
	if !told {
		m.release()
	}
	return told
}

// descriptors are the sockets that a new process of a slot is given: its own by
// listener, then all of the pool.
func (p *pool) descriptors(s *slot, gen int) (fds []int) {
	for _, o := range p.listeners(gen) {
		fds = append(fds, o.group.FD(s.index))
	}
	for _, o := range p.listeners(gen) {
		fds = append(fds, o.group.FDs()...)
	}
	return fds
}

// boot is what the new process learns about itself.
func (l *loop) boot(s *slot, r *process) ipc.Boot {
	spec := s.pool.spec
	b := ipc.Boot{
		Cluster: l.cfg.Spec.Name, Version: l.cfg.Version, Pool: spec.Name, Slot: s.index,
		Generation: r.gen, Incarnation: r.inc, Secret: secret(l.spawn.key, s.id(), r.gen, r.inc),
		Run: l.cfg.Run, State: l.cfg.State, Beat: spec.Beat,
		Orphan: spec.Orphan, OrphanAfter: spec.OrphanAfter, Settings: s.pool.generation(r.gen).told(s.pool),
		Introduces: true,
	}
	if !spec.BuiltIn {
		b.Config = l.app
	}
	if spec.MaxOutgoing == 0 {
		b.Leave = &ipc.Drain{Linger: true, LameDuck: spec.LameDuck, Deadline: spec.LameDuck + spec.DrainTimeout}
	}
	on := s.pool.listeners(r.gen)
	fd := listenFD + len(on)
	for i, o := range on {
		name := s.pool.nameAt(s.pool.listenOf(r.gen), i)
		b.Listeners = append(b.Listeners, ipc.Inherited{Name: name, Addr: o.group.Addr(), FD: listenFD + i})
		for slot := range o.group.Len() {
			b.Sockets = append(b.Sockets, ipc.Socket{Name: name, Slot: slot, FD: fd})
			fd++
		}
	}
	return b
}

// bootFile holds the boot message. A pipe would not do: once a user has many, the
// kernel makes further ones of 8 KiB (pipe(7)), and a message that names each
// socket of a large pool is longer.
func bootFile(b ipc.Boot) (fd int, err error) {
	data, err := ipc.Encode(b)
	if err == nil {
		fd, err = launch.Seal("boot", data)
	}
	if err != nil {
		return -1, fmt.Errorf("boot message: %w", err)
	}
	return fd, nil
}
