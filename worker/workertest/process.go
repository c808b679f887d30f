package workertest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/entry"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/worker"
)

// process is one worker, as the primary sees it.
type process struct {
	incarnation uint64
	conn        *ipc.Conn                // set before joined is closed
	joined      chan struct{}            // closed at its hello
	prepared    chan struct{}            // size 1: it waits for a state
	said        map[string]chan struct{} // by the type of a message: closed when that has come
	over        chan struct{}            // closed when it has ended
	err         error                    // what Run returned; set before over is closed
	reported    atomic.Bool              // err has been returned to the test
}

func newProcess(incarnation uint64) *process {
	p := &process{incarnation: incarnation, joined: make(chan struct{}), prepared: make(chan struct{}, 1), said: make(map[string]chan struct{}), over: make(chan struct{})}
	for _, kind := range []string{ipc.TypeReady, ipc.TypeLeaving, ipc.TypeClosed} {
		p.said[kind] = make(chan struct{})
	}
	return p
}

// launch starts a worker in this process and waits until it has joined.
func (s *Slot) launch(run worker.Run) (*process, error) {
	if run == nil {
		return nil, errors.New("there is no worker.Run")
	}
	p := s.primary.expect()
	b := ipc.Boot{
		Cluster: "test", Version: control.Version, Pool: s.spec.Name, Generation: int(p.incarnation), Incarnation: p.incarnation,
		Secret: []byte("test"), Run: s.primary.dir, State: s.state, Beat: s.spec.Beat,
		Orphan: control.OrphanExit, Leave: &ipc.Drain{Linger: true, LameDuck: s.spec.LameDuck, Deadline: s.drain().Deadline},
		Introduces: true,
	}
	for _, l := range s.listeners {
		fd, err := unix.FcntlInt(uintptr(l.group.FD(0)), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		b.Listeners = append(b.Listeners, ipc.Inherited{Name: l.name, Addr: l.group.Addr(), FD: fd})
	}
	boot, err := bootPipe(b)
	if err != nil {
		return nil, err
	}
	go p.live(boot, run)
	select {
	case <-p.joined:
		return p, nil
	case <-p.over:
		return nil, p.why()
	}
}

func (p *process) live(boot int, run worker.Run) {
	defer close(p.over)
	p.err = errors.New("worker.Run has ended its goroutine, as t.FailNow does")
	p.err = entry.Worker(boot, run)
}

func bootPipe(b ipc.Boot) (fd int, err error) {
	data, err := ipc.Encode(b)
	if err != nil {
		return -1, err
	}
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return -1, err
	}
	_, err = unix.Write(ends[1], data)
	return ends[0], errors.Join(err, unix.Close(ends[1]))
}

// listen reads what the worker says, until it has ended.
func (p *process) listen() {
	seen := make(map[string]bool)
	for {
		m, err := p.conn.Receive(0)
		if err != nil {
			return
		}
		m.Discard()
		if m.Type == ipc.TypePrepared {
			select {
			case p.prepared <- struct{}{}:
			default:
			}
		} else if c := p.said[m.Type]; c != nil && !seen[m.Type] {
			seen[m.Type] = true
			close(c)
		}
	}
}

// await waits until the worker has said something, or has ended.
func (p *process) await(kind string) {
	select {
	case <-p.said[kind]:
	case <-p.over:
	}
}

func (p *process) ended() bool { return isClosed(p.over) }

// serves reports whether it can hand a state over.
func (p *process) serves() bool {
	return !p.ended() && !isClosed(p.said[ipc.TypeLeaving]) && !isClosed(p.said[ipc.TypeClosed])
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// why is the reason of an end before the worker was ready.
func (p *process) why() error {
	if p.err != nil {
		return p.err
	}
	return errors.New("worker.Run has returned before the worker was ready")
}

// stuckAfter is how long Run may take to return when its context has ended.
const stuckAfter = time.Minute

var errStuck = fmt.Errorf("worker.Run has not returned %v after the end of Worker.Context", stuckAfter)

// stop asks the worker to drain and waits for its end.
func (p *process) stop(d ipc.Drain) error {
	_ = p.conn.Send(ipc.SendTimeout, ipc.TypeDrain, d) // it has ended, if that fails
	stuck := time.NewTimer(d.Deadline + stuckAfter)
	defer stuck.Stop()
	select {
	case <-p.over:
		return nil
	case <-stuck.C:
		return errStuck
	}
}

// tell is how the worker has ended; only once.
func (p *process) tell() error {
	switch {
	case p.reported.Swap(true):
		return nil
	case !p.ended():
		return errStuck
	}
	return p.err
}

// introduce answers a worker that waits for a state: with a conversation with the
// one in the slot, if that serves.
func (s *Slot) introduce(p *process) error {
	old := s.current()
	if old == nil || !old.serves() {
		return p.conn.Send(ipc.SendTimeout, ipc.TypeInherit, nil)
	}
	return between(p, ipc.TypeInherit, old, ipc.TypeYield, nil)
}

// retire asks a worker to drain and to give its connections to its successor.
func (s *Slot) retire(old, next *process) error {
	return between(next, ipc.TypeHandover, old, ipc.TypeDrain, s.drain())
}

// between makes a conversation of two workers. Each gets one end with a message;
// the second message has a body.
func between(one *process, kind string, other *process, otherKind string, body any) error {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	err = one.conn.Send(ipc.SendTimeout, kind, nil, ends[0])
	if err == nil {
		_ = other.conn.Send(ipc.SendTimeout, otherKind, body, ends[1]) // it has ended, if that fails, and the first sees the end
	}
	return errors.Join(err, unix.Close(ends[0]), unix.Close(ends[1]))
}
