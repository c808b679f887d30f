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

// maxQueued is how many messages may wait for one worker.
const maxQueued = 64

// conversation is the lasting one of a worker. Messages to it are queued, so that
// a worker that does not read never holds up the loop.
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

// release closes the descriptors of a message.
func (m outgoing) release() {
	if m.free != nil {
		_ = m.free()
	}
}

// send queues a message; false if the worker has not read for long.
func (c *conversation) send(kind string, body any) bool {
	return c.pass(outgoing{kind: kind, body: body})
}

func (c *conversation) pass(m outgoing) bool {
	if !c.lasts() {
		return false
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

// drop closes the descriptors of queued messages that will not be sent.
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

// crowded reports whether so much is queued for the worker that only the
// necessary should be added.
func (c *conversation) crowded() bool { return len(c.queue) > maxQueued/4 }

func (c *conversation) close() {
	c.once.Do(func() {
		close(c.done)
		_ = c.conn.Close()
	})
}

// lasts reports whether there is a conversation that has not ended.
func (c *conversation) lasts() bool {
	if c == nil {
		return false
	}
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

func (c *conversation) write() {
	defer c.drop()
	for {
		select {
		case <-c.done:
			return
		case m := <-c.queue:
			err := c.conn.Send(ipc.SendTimeout, m.kind, m.body, m.fds...)
			if errors.Is(err, unix.ETOOMANYREFS) && (m.kind == ipc.TypeDrain || m.kind == ipc.TypeHandover || m.kind == ipc.TypeMail) {
				err = c.conn.Send(ipc.SendTimeout, m.kind, m.body) // without the descriptor rather than not at all
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
	limit, err := ask(ctx, p, func(l *loop) (int, error) { return k.slot.pool.mayKeep(), l.joined(k, c, peer, h) })
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(c.write)
	defer c.close()
	back := givenBack{pool: k.slot.pool, limit: limit}
	defer back.drop()
	for {
		m, err := conn.Receive(0)
		if err != nil || m.Short() {
			return nil // its exit says so, or its next hello: then it sends them again
		}
		if m.Type == ipc.TypeSockets && k.sockets {
			p.takeBack(k, &m, &back)
		}
		var files []int
		if m.Type == ipc.TypeHeard {
			files = m.Files()
		}
		m.Discard()
		if back.tooMany() {
			closeAll(files)
			return fmt.Errorf("%w: more sockets than the pool has", control.ErrUsage)
		}
		if e := workerSaid(k, m, files); e == nil || !p.post(e) {
			closeAll(files)
		}
	}
}

// joined takes a worker's control conversation.
func (l *loop) joined(k known, c *conversation, peer int, h ipc.Hello) error {
	r := k.slot.processes[k.inc]
	if r == nil || (r.handle != nil && r.pid() != peer) {
		return errRefused
	}
	if r.conv != nil {
		r.conv.close()
	}
	r.conv, r.peer, r.upstreams = c, peer, nil
	r.heard, r.silent, r.prepared = time.Now(), false, h.Prepared
	r.leaving, r.closed = r.leaving || h.Leaving || h.Draining, r.closed || h.Closed
	l.tellConfig(k.slot, r, h)
	if h.Ready {
		l.becameReady(k.slot, k.inc)
	}
	k.slot.pool.shareKept(l, r)
	place, _ := k.slot.find(k.inc)
	r.orphaned = h.Draining && !h.Leaving && place.ending == notEnding // nobody asked it to
	if place.ending == told {
		l.drain(k.slot, action{inc: k.inc, linger: place.linger, final: place.final})
	}
	l.passState(k.slot)
	return nil
}

// givenBack are the sockets that a survivor has sent before its last message.
// They are bounded for the worker and for its pool.
type givenBack struct {
	pool    *pool
	limit   int
	sockets []ipc.Socket
}

func (g *givenBack) add(all []ipc.Socket) {
	g.sockets = append(g.sockets, all...)
	g.pool.givenBack.Add(int64(len(all)))
}

func (g *givenBack) tooMany() bool {
	return len(g.sockets) > g.limit || g.pool.givenBack.Load() > int64(maxGivers*g.limit)
}

// take returns the sockets.
func (g *givenBack) take() []ipc.Socket {
	all := g.sockets
	g.sockets = nil
	g.pool.givenBack.Add(-int64(len(all)))
	return all
}

func (g *givenBack) drop() { closeSockets(g.take()) }

// takeBack collects the sockets that a survivor gives back.
func (p *Primary) takeBack(k known, m *ipc.Message, back *givenBack) {
	var s ipc.Sockets
	if m.Decode(&s) != nil || len(s.Sockets) != m.FDs {
		return // the message is discarded with what came with it
	}
	for i, fd := range m.Files() {
		s.Sockets[i].FD = fd
	}
	back.add(s.Sockets)
	if !s.Last {
		return
	}
	all := back.take()
	if !p.post(func(l *loop) { l.returned(k, all) }) {
		closeSockets(all)
	}
}

// workerSaid turns a worker's message into an event; files came with it.
func workerSaid(k known, m ipc.Message, files []int) event {
	switch m.Type {
	case ipc.TypeReady:
		return k.event(func(l *loop, _ *process) { l.becameReady(k.slot, k.inc) })
	case ipc.TypePrepared:
		return k.event(func(l *loop, r *process) {
			r.prepared = true
			l.passState(k.slot)
		})
	case ipc.TypeBeat:
		var b ipc.Beat
		if m.Decode(&b) != nil {
			return nil
		}
		return k.event(func(_ *loop, r *process) { r.beat, r.heard, r.silent = b, time.Now(), false })
	case ipc.TypeLeaving:
		return k.event(func(_ *loop, r *process) { r.leaving = true })
	case ipc.TypeClosed:
		return k.event(func(_ *loop, r *process) { r.closed = true })
	case ipc.TypeHeard:
		var h ipc.Heard
		if m.Decode(&h) != nil || len(h.From) == 0 {
			return nil
		}
		return func(l *loop) { l.saidMeanwhile(k, h, files) }
	case ipc.TypeLeft:
		var left ipc.Left
		if m.Decode(&left) != nil {
			return nil
		}
		return func(l *loop) { l.left(k.slot.pool, k.inc, left.Incarnation) }
	case ipc.TypeDrained:
		var d ipc.Drained
		if m.Decode(&d) != nil {
			return nil
		}
		return func(l *loop) { l.drained(k.slot.pool, d) } // its exit may have been handled
	}
	return nil // of a newer worker
}

func closeAll(files []int) {
	for _, fd := range files {
		_ = unix.Close(fd) // ours to close
	}
}

// event is f for as long as the process has not been reaped.
func (k known) event(f func(*loop, *process)) event {
	return func(l *loop) {
		if r := k.slot.processes[k.inc]; r != nil {
			f(l, r)
		}
	}
}
