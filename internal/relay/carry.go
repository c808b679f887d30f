package relay

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stream is a connection of TCP or of a unix socket.
type stream interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

// longAgo ends a read that waits.
var longAgo = time.Unix(1, 0)

// lastRead is how long a client may take to close its side when the process has
// closed its own.
const lastRead = time.Minute

// carry passes a connection on until both sides have ended it.
func (p *pool) carry(ctx context.Context, c net.Conn) {
	client, ok := c.(stream)
	if !ok {
		return
	}
	var head []byte // of the client, which no process has got
	var tried []*upstream
	for {
		l, server, err := p.connect(ctx, tried)
		if err != nil {
			return
		}
		tried = append(tried, l.up)
		if head, ok = l.carry(ctx, client, server.(stream), head); !ok {
			return
		}
	}
}

// carry passes a connection on to one process; true: it goes to another one, with
// what was read of the client.
func (l *link) carry(ctx context.Context, client, server stream, head []byte) ([]byte, bool) {
	defer l.pool.drop(l)
	defer server.Close()
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if h := header(l.pool.ProxyProtocol, client.RemoteAddr(), client.LocalAddr()); h != nil {
		_, _ = server.Write(h) // else the rest fails, too
	}
	var wg sync.WaitGroup
	wg.Go(func() { head = l.forth(client, server, head) })
	l.back(client, server)
	wg.Wait()
	if !l.hasMoved() {
		return nil, false
	}
	_ = client.SetReadDeadline(time.Time{})
	return head, true
}

// forth passes on what the client says, and returns what was read in vain.
func (l *link) forth(client, server stream, head []byte) (rest []byte) {
	var unsent error
	first := true
	send := func(b []byte) error {
		if first && hasEnded(server) && l.unasked(true) || !l.ask() {
			rest, unsent = append(rest, b...), errMoved
			return errMoved
		}
		n, err := server.Write(b)
		if err != nil && l.unasked(first && n == 0) {
			rest = append(rest, b...)
		}
		first, unsent = false, err
		return err
	}
	var err error
	if len(head) > 0 {
		err = send(head)
	}
	if err == nil {
		err = pump(client, send)
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded): // the process has ended its side
	case unsent != nil && !errors.Is(unsent, errMoved): // it may have answered before
	case err == nil && l.ask():
		_ = server.CloseWrite()
	default:
		l.close(err != nil && unsent == nil) // the client has gone
		_ = server.SetReadDeadline(longAgo)
	}
	return rest
}

var errMoved = errors.New("it goes to another process")

// back passes on what the process says, and then ends the client's side, unless it
// goes to another process.
func (l *link) back(client, server stream) {
	err := pump(server, func(b []byte) error {
		if !l.answer() {
			return errMoved
		}
		_, err := client.Write(b)
		return err
	})
	switch {
	case l.ended():
		_ = client.SetReadDeadline(longAgo)
	case err == nil:
		_ = client.CloseWrite()
		_ = client.SetReadDeadline(time.Now().Add(lastRead))
	default: // the client must not take what it has for the whole
		_ = control(client, func(fd int) error {
			return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		})
		_ = client.Close()
	}
}

// hasEnded tells, before it gets anything, whether a process has ended its side without
// a word: what is sent then is lost.
func hasEnded(server stream) bool {
	var n int
	err := control(server, func(fd int) (err error) {
		n, _, err = unix.Recvfrom(fd, make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return err
	})
	return err == nil && n == 0 || err != nil && !errors.Is(err, unix.EAGAIN)
}

func control(c syscall.Conn, f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return errors.Join(raw.Control(func(fd uintptr) { err = f(int(fd)) }), err)
}

// buffers are taken only while something is there to be read: an idle connection has
// none.
var buffers = sync.Pool{New: func() any { return new([16 << 10]byte) }}

// pump gives send what is read, until the end of it.
func pump(from syscall.Conn, send func([]byte) error) error {
	raw, err := from.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Read(func(fd uintptr) (done bool) {
		done, failed = drain(int(fd), send)
		return done
	})
	return errors.Join(failed, err)
}

// drain sends what is there to be read now; done: there will be no more.
func drain(fd int, send func([]byte) error) (done bool, err error) {
	b := buffers.Get().(*[16 << 10]byte)
	defer buffers.Put(b)
	for { // up to EAGAIN: an end that came together with the last bytes is told no more
		n, err := unix.Read(fd, b[:])
		switch {
		case errors.Is(err, unix.EAGAIN):
			return false, nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return true, err
		case n == 0:
			return true, nil
		}
		if err := send(b[:n]); err != nil {
			return true, err
		}
	}
}
