package primary

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

// maxQueued is how many messages wait for one worker before it is given up.
const maxQueued = 64

// conversation is the lasting one of a worker. Messages to it are queued, so
// that a worker that does not read never holds up the loop.
type conversation struct {
	conn  *ipc.Conn
	queue chan outgoing
	done  chan struct{}
	once  sync.Once
}

type outgoing struct {
	kind string
	body any
	fds  []int        // sent and then closed
	free func() error // closes them
}

func newConversation(conn *ipc.Conn) *conversation {
	return &conversation{conn: conn, queue: make(chan outgoing, maxQueued), done: make(chan struct{})}
}

// release closes what was sent, or will never be.
func (m outgoing) release() {
	if m.free != nil {
		_ = m.free() // only a copy of a descriptor
	}
}

// send queues a message; false when the worker has not read for long.
func (c *conversation) send(kind string, body any) bool {
	return c.pass(outgoing{kind: kind, body: body})
}

func (c *conversation) pass(m outgoing) bool {
	select {
	case <-c.done:
		return false
	default:
	}
	select {
	case c.queue <- m:
	default:
		c.close()
		return false
	}
	select {
	case <-c.done: // maybe after write had left
		c.drop()
	default:
	}
	return true
}

// drop frees what is queued and will not be sent.
func (c *conversation) drop() {
	for {
		select {
		case m := <-c.queue:
			m.release()
		default:
			return
		}
	}
}

// crowded tells whether so much waits for the worker that only what it must
// know should be added.
func (c *conversation) crowded() bool { return len(c.queue) > maxQueued/4 }

func (c *conversation) close() {
	c.once.Do(func() {
		close(c.done)
		_ = c.conn.Close()
	})
}

// write sends what is queued.
func (c *conversation) write() {
	defer c.drop()
	for {
		select {
		case <-c.done:
			return
		case m := <-c.queue:
			err := c.conn.Send(ipc.SendTimeout, m.kind, m.body, m.fds...)
			if errors.Is(err, unix.ETOOMANYREFS) && (m.kind == ipc.TypeDrain || m.kind == ipc.TypeLegacy) {
				err = c.conn.Send(ipc.SendTimeout, m.kind, m.body) // better without an heir than not at all
			}
			m.release()
			if err != nil {
				c.close()
				return
			}
		}
	}
}

// hold keeps a worker's control conversation until either side ends it.
func (p *Primary) hold(ctx context.Context, conn *ipc.Conn, k known, h ipc.Hello) error {
	c := newConversation(conn)
	defer context.AfterFunc(ctx, c.close)()
	peer := 0
	if cred, err := conn.Peer(); err == nil {
		peer = int(cred.Pid)
	}
	if _, err := ask(ctx, p, func(l *loop) (struct{}, error) { return struct{}{}, l.joined(k, c, peer, h) }); err != nil {
		return err
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(c.write)
	defer c.close()
	var back []ipc.Socket
	for {
		m, err := conn.Receive(0)
		if err != nil {
			closeSockets(back)
			return nil // its exit, or its next hello, tells
		}
		if m.Short() {
			closeSockets(back)
			return nil // it says hello again, and gives them once more
		}
		if m.Type == ipc.TypeSockets && k.sockets {
			back = p.takeBack(k, &m, back)
		}
		m.Discard()
		if len(back) > k.pool.MaxWorkers*len(k.pool.Listen) {
			closeSockets(back)
			return fmt.Errorf("%w: more sockets than the pool has", control.ErrUsage)
		}
		if e := workerSaid(k, m); e != nil {
			p.post(e)
		}
	}
}

// joined takes in a worker's control conversation.
func (l *loop) joined(k known, c *conversation, peer int, h ipc.Hello) error {
	r := k.seat.runs[k.inc]
	if r == nil || (r.process != nil && r.pid() != peer) {
		return errRefused
	}
	if r.conv != nil {
		r.conv.close()
	}
	r.conv, r.peer = c, peer
	r.heard, r.silent = time.Now(), false
	r.leaving, r.closed = r.leaving || h.Leaving || h.Draining, r.closed || h.Closed
	if h.Ready {
		l.becameReady(k.seat, k.inc)
	}
	if place, _ := k.seat.find(k.inc); place.ending == told {
		l.drain(k.seat, action{inc: k.inc})
	}
	return nil
}

// takeBack collects the sockets that a survivor gives back.
func (p *Primary) takeBack(k known, m *ipc.Message, back []ipc.Socket) []ipc.Socket {
	var s ipc.Sockets
	if m.Decode(&s) != nil || len(s.Sockets) != m.FDs {
		return back // the message is discarded with what came with it
	}
	for i, fd := range m.Files() {
		s.Sockets[i].FD = fd
	}
	back = append(back, s.Sockets...)
	if !s.Last {
		return back
	}
	if !p.post(func(l *loop) { l.returned(k, back) }) {
		closeSockets(back)
	}
	return nil
}

// workerSaid is what a worker's message means to the loop.
func workerSaid(k known, m ipc.Message) event {
	switch m.Type {
	case ipc.TypeReady:
		return k.event(func(l *loop, _ *run) { l.becameReady(k.seat, k.inc) })
	case ipc.TypeBeat:
		var b ipc.Beat
		if m.Decode(&b) != nil {
			return nil
		}
		return k.event(func(_ *loop, r *run) { r.beat, r.heard, r.silent = b, time.Now(), false })
	case ipc.TypeLeaving:
		return k.event(func(_ *loop, r *run) { r.leaving = true })
	case ipc.TypeClosed:
		return k.event(func(_ *loop, r *run) { r.closed = true })
	case ipc.TypeDrained:
		var d ipc.Drained
		if m.Decode(&d) != nil {
			return nil
		}
		return func(l *loop) { l.drained(k.seat.pool, d) } // its exit may have been taken in
	}
	return nil // of a newer worker: not for us
}

// event is f for as long as the process has not been reaped.
func (k known) event(f func(*loop, *run)) event {
	return func(l *loop) {
		if r := k.seat.runs[k.inc]; r != nil {
			f(l, r)
		}
	}
}
