package primary

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/seize"
)

// Programs under control.ShareSeize open a port themselves: PORT tells them one that
// nobody reaches, and when they listen on it they get the socket of their slot.

// Private ports are below those that the kernel gives to clients
// (ip_local_port_range, ip(7)).
const (
	firstPrivate = 20000
	privatePorts = 10000
)

// portWord stands for the private port in the arguments of a program.
const portWord = "{port}"

// supervision answers the calls of listen(2) of one process and of all that it
// starts, as long as one of them lives.
type supervision struct {
	pool    *pool
	inc     uint64 // of the process
	port    int    // private
	notify  int    // descriptor of its filter
	listens atomic.Bool
	stop    context.CancelFunc // nil: nobody answers yet
	over    chan struct{}      // closed when nobody answers any more
}

// privatePort is one that is free and that no process has been told of which may
// still want it.
func (l *loop) privatePort() (int, error) {
	told := make(map[int]bool)
	for s, r := range processes(l.slots()) {
		if p, _ := s.find(r.inc); !p.ready {
			told[r.port] = true
		}
	}
	for range 100 {
		port := firstPrivate + rand.IntN(privatePorts)
		if !told[port] && isFree(port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port between %d and %d for PORT", firstPrivate, firstPrivate+privatePorts-1)
}

// isFree tells whether a port can be bound on all addresses.
func isFree(port int) bool {
	all := unix.Sockaddr(&unix.SockaddrInet6{Port: port})
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil { // a machine without IPv6
		all = &unix.SockaddrInet4{Port: port}
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	}
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
	return unix.Bind(fd, all) == nil
}

// equipSeized gives a new process a private port in place of sockets.
func (l *loop) equipSeized(s *slot, r *process, e *equipment) error {
	port, err := l.privatePort()
	r.port = port
	e.port = strconv.Itoa(port)
	post := l.post
	e.supervise = func(notify int) {
		v := &supervision{pool: s.pool, inc: r.inc, port: port, notify: notify}
		if !post(func(l *loop) { l.supervise(v) }) {
			_ = unix.Close(notify) // its process ends with the cluster
		}
	}
	return err
}

// withPort is the command line and the environment of a process that is told a
// private port.
func (e equipment) withPort(p program) program {
	if e.port == "" {
		return p
	}
	told := program{dir: p.dir}
	for _, arg := range p.argv {
		told.argv = append(told.argv, strings.ReplaceAll(arg, portWord, e.port))
	}
	for _, v := range p.env {
		if !strings.HasPrefix(v, "PORT=") { // of two programs take either
			told.env = append(told.env, v)
		}
	}
	told.env = append(told.env, "PORT="+e.port)
	return told
}

// supervise begins to answer.
func (l *loop) supervise(v *supervision) {
	v.pool.supervised[v.inc] = v
	if v.pool.keeper != nil {
		for _, r := range processes(v.pool.keeper.slots) {
			r.keepSupervision(v)
		}
	}
	l.answer(v)
}

// answer runs the supervisor until it is stopped or no process is left.
func (l *loop) answer(v *supervision) {
	ctx, stop := context.WithCancel(context.Background())
	v.stop, v.over = stop, make(chan struct{})
	post, wg := l.post, &l.spawn.wg
	sockets := make(map[uint16]int)
	if fd, err := v.socket(); err == nil {
		sockets[uint16(v.port)] = fd
	}
	s := seize.Supervisor{Sockets: sockets, Report: func(_ seize.Seizure, err error) {
		if err == nil {
			v.listens.Store(true)
		}
		wg.Go(func() { post(func(l *loop) { l.listened(v, err) }) }) // the loop may wait for our end
	}}
	wg.Go(func() {
		err := s.Run(ctx, v.notify)
		for _, fd := range sockets {
			_ = unix.Close(fd) // a copy
		}
		close(v.over)
		if ctx.Err() == nil {
			post(func(l *loop) { l.unsupervise(v, err) })
		}
	})
}

// socket is a copy of the socket of the slot.
func (v *supervision) socket() (int, error) {
	for s, r := range processes(v.pool.slots) {
		if r.inc != v.inc {
			continue
		}
		for _, o := range v.pool.listeners(r.gen) {
			if o != nil {
				return unix.FcntlInt(uintptr(o.group.FD(s.index)), unix.F_DUPFD_CLOEXEC, 0)
			}
		}
	}
	return -1, errors.New("its slot has no socket")
}

// pause stops the supervisor between two calls.
func (v *supervision) pause() {
	if v.stop != nil {
		v.stop()
		<-v.over
	}
}

// unsupervise takes in that no process is left that could call, or that there is no
// way to answer.
func (l *loop) unsupervise(v *supervision, err error) {
	if v.pool.supervised[v.inc] != v {
		return
	}
	v.pause()
	if err != nil {
		l.tell(control.Event{Kind: control.EventPoolTrouble, Text: fmt.Sprintf("pool %s: %v", v.pool.spec.Name, err)})
	}
	delete(v.pool.supervised, v.inc)
	_ = unix.Close(v.notify) // nobody calls any more
	if v.pool.keeper != nil {
		v.pool.keeper.unkeep(v.keptName())
	}
}

// listened takes in the answer to a call of listen for the private port, or why it
// could not be answered.
func (l *loop) listened(v *supervision, err error) {
	for s, r := range processes(v.pool.slots) {
		if r.inc != v.inc {
			continue
		}
		switch p, _ := s.find(r.inc); {
		case err == nil && s.specOf(r).Protocol == control.ProtocolListen:
			l.becameReady(s, r.inc)
		case err == nil:
		case p.ready: // it goes on with what it has
			l.report(s, r.inc, control.EventWorkerTrouble, fmt.Sprintf("a further call of listen(2) did not get the socket of its slot: %v", err))
		default:
			s.note(r.inc, fmt.Sprintf(`share = "seize" does not work for it: %v; share = "relay" may`, err))
			l.signal(s, r.inc, sigKill)
		}
		return
	}
}

// noteDeaf says of a process whose time to become ready is over that it has opened
// another port than the one it was told.
func (s *slot) noteDeaf(inc uint64) {
	r, v := s.processes[inc], s.pool.supervised[inc]
	if p, _ := s.find(inc); r != nil && v != nil && !p.ready && !v.listens.Load() {
		s.note(inc, fmt.Sprintf("it has not listened on port %d, which PORT and %s tell", v.port, portWord))
	}
}

// pauseSupervised stops all supervisors, so that the next image can answer, or the
// cluster end.
func (l *loop) pauseSupervised() {
	for _, p := range l.pools {
		for _, v := range p.supervised {
			v.pause()
		}
	}
}

// answerAll answers what is not answered: after an exec, or one that failed.
func (l *loop) answerAll() {
	for _, p := range l.pools {
		for _, v := range p.supervised {
			l.answer(v)
			if v.listens.Load() {
				l.listened(v, nil)
			}
		}
	}
}

// The agent keeps a copy of each descriptor, without answering: when the last one is
// closed, listen(2) fails in the program.

const keptCalls = " listen(2) "

func (v *supervision) keptName() string {
	return fmt.Sprintf("%s%s%d %d", v.pool.spec.Name, keptCalls, v.inc, v.port)
}

// keepSupervision gives a worker of the agent a copy of the descriptor.
func (r *process) keepSupervision(v *supervision) {
	r.keep([]string{v.keptName()}, []int{v.notify})
}

// takeSupervision goes on with what the agent has kept; false: it is nothing like that,
// or there already.
func (l *loop) takeSupervision(p *pool, name string, fd int) bool {
	v := &supervision{pool: p, notify: fd}
	rest, ok := strings.CutPrefix(name, p.spec.Name+keptCalls)
	n, err := fmt.Sscanf(rest, "%d %d", &v.inc, &v.port)
	if !ok || err != nil || n != 2 || p.supervised[v.inc] != nil {
		return false
	}
	l.supervise(v)
	return true
}

// supervisionImage is a supervision that goes over an exec.
type supervisionImage struct {
	Inc     uint64 `cbor:"inc"`
	Port    int    `cbor:"port"`
	FD      int    `cbor:"fd"`
	Listens bool   `cbor:"listens,omitempty"`
}

func (p *pool) supervisionImages() (all []supervisionImage) {
	for _, v := range p.supervised {
		all = append(all, supervisionImage{v.inc, v.port, v.notify, v.listens.Load()})
	}
	return all
}

// restoreSupervised takes over what [loop.answerAll] answers when the loop runs.
func (im *image) restoreSupervised(p *pool) {
	for _, i := range im.Supervised[p.spec.Name] {
		v := &supervision{pool: p, inc: i.Inc, port: i.Port, notify: i.FD}
		v.listens.Store(i.Listens)
		p.supervised[i.Inc] = v
	}
}
