package primary

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/proc"
	"github.com/norestart/norestart/internal/proc/proctest"
)

// actor plays one process. Its pid is the test's own, for the kernel tells the
// primary who is at the other end of a socket.
type actor struct {
	*proctest.Process
	boot           ipc.Boot
	out            *os.File
	pid            int
	cookie         uint64 // of the socket that is its listener
	known, adopted bool   // of a survivor: it is in the record; it was taken over
	exit           chan proc.Exit
	dead           chan struct{} // closed before the primary learns of the exit
	joined         chan struct{} // of a survivor: closed when its hello has been believed
	once           sync.Once     // for joined
	drains         []ipc.Drain   // what a survivor was told, to be read when it has ended

	mu   sync.Mutex // protects conn
	conn *ipc.Conn
}

// newActor takes from the command what the process would inherit.
func newActor(p *proctest.Process) (*actor, error) {
	a := &actor{Process: p, pid: os.Getpid(), exit: make(chan proc.Exit, 1), dead: make(chan struct{})}
	boot, err := inherited(p.Command.Files[bootFD])
	if err != nil {
		return nil, err
	}
	defer boot.Close()
	if err := ipc.ReadBoot(boot, &a.boot); err != nil {
		return nil, err
	}
	if len(a.boot.Listeners) > 0 {
		if a.cookie, err = unix.GetsockoptUint64(p.Command.Files[listenFD], unix.SOL_SOCKET, unix.SO_COOKIE); err != nil {
			return nil, err
		}
	}
	a.out, err = inherited(p.Command.Files[1])
	return a, err
}

func inherited(fd int) (*os.File, error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	return os.NewFile(uintptr(dup), "inherited"), err
}

// PID implements [proc.Process].
func (a *actor) PID() int { return a.pid }

// Wait implements [proc.Process].
func (a *actor) Wait() <-chan proc.Exit { return a.exit }

// reap does what the kernel does when a process ends: it closes its files
// before its parent learns of it.
func (a *actor) reap() {
	e := <-a.Process.Wait()
	close(a.dead)
	a.mu.Lock()
	if a.conn != nil {
		a.conn.Close()
	}
	a.mu.Unlock()
	a.out.Close()
	a.exit <- e
	close(a.exit)
}

func (a *actor) id() string { return workerID(a.boot.Pool, a.boot.Slot) }

func (a *actor) hello(purpose ipc.Purpose) ipc.Hello {
	return ipc.Hello{Purpose: purpose, Worker: a.id(), Generation: a.boot.Generation, Incarnation: a.boot.Incarnation, Secret: a.boot.Secret, Config: ipc.ConfigDigest(a.boot.Config)}
}

func (a *actor) dial(ctx context.Context) (*net.UnixConn, error) {
	return inherit.DialUnix(ctx, filepath.Join(a.boot.Run, ipc.WorkerSocket))
}

// client asks the primary in the name of the process.
func (a *actor) client(user string) *ipc.Client {
	return &ipc.Client{Dial: a.dial, Hello: a.hello(""), User: user}
}

// join says hello; false when the process has ended meanwhile.
func (a *actor) join() bool {
	conn, _, err := ipc.Open(context.Background(), a.dial, a.hello(ipc.PurposeControl))
	if err != nil {
		a.Exit(70)
		return false
	}
	conn.Trust(true)
	a.mu.Lock()
	a.conn = conn
	a.mu.Unlock()
	select {
	case <-a.dead:
		conn.Close()
		return false
	default:
		return true
	}
}

func (a *actor) tell(kind string, body any) { _ = a.conn.Send(soon, kind, body) }

func (a *actor) say(format string, args ...any) { fmt.Fprintf(a.out, format+"\n", args...) }

// serve is what a good worker does.
func (a *actor) serve() { a.serveUntil(func(d ipc.Drain) bool { return true }) }

// serveUntil ends when it is asked to drain and obeys says so.
func (a *actor) serveUntil(obeys func(ipc.Drain) bool) {
	a.Obey(syscall.SIGTERM)
	if !a.join() {
		return
	}
	a.tell(ipc.TypeReady, nil)
	for {
		m, err := a.conn.Receive(0)
		if err != nil {
			return
		}
		m.Discard()
		var d ipc.Drain
		var i ipc.Invite
		switch {
		case m.Type == ipc.TypeInvite && m.Decode(&i) == nil:
			a.answer(i)
		case m.Type == ipc.TypeDrain && m.Decode(&d) == nil:
			a.tell(ipc.TypeClosed, nil)
			if obeys(d) {
				a.tell(ipc.TypeDrained, ipc.Drained{})
				a.Exit(0)
				return
			}
		}
	}
}

// answer takes a question and answers with the worker's name.
func (a *actor) answer(i ipc.Invite) {
	h := a.hello(ipc.PurposeTake)
	h.Token = i.Token
	conn, _, err := ipc.Open(context.Background(), a.dial, h)
	if err != nil {
		return
	}
	defer conn.Close()
	if _, err := conn.Receive(soon); err == nil {
		_ = conn.Send(soon, ipc.TypeReply, ipc.Reply{Body: []byte(a.id())})
	}
}

// stubborn says that it is ready and then neither listens nor obeys.
func (a *actor) stubborn() {
	if a.join() {
		a.tell(ipc.TypeReady, nil)
	}
}

// deaf is a worker that hears no message but ends by TERM.
func (a *actor) deaf() {
	a.Obey(syscall.SIGTERM)
	a.stubborn()
}

// crash ends before it is ready, and says why.
func (a *actor) crash() {
	if a.join() {
		a.say("cannot open the database")
		a.Exit(3)
	}
}

// faint ends as soon as it is ready.
func (a *actor) faint() {
	if a.join() {
		a.tell(ipc.TypeReady, nil)
		a.say("lost the database")
		a.Exit(4)
	}
}

// slow never becomes ready.
func (a *actor) slow() {
	a.Obey(syscall.SIGTERM)
	a.join()
}
