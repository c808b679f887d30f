package worker

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/norestart/norestart/internal/ipc"
)

// LocalCall is a command of the application that somebody runs on the machine
// itself: the primary has handed the caller's conversation to this worker. Only
// workers of the shell's pool get them.
type LocalCall struct {
	user      string
	args      []string
	conn      *ipc.Conn
	ctx       context.Context // of the command
	interrupt context.CancelCauseFunc
	over      context.Context // of the conversation
	end       context.CancelFunc
	begun     chan struct{} // closed when the caller has been told that it is attached
	stdin     chan ipc.Data
	rest      []byte
	eof       bool
	exited    sync.Once
}

// ErrHungUp is the cause with which the context of a [LocalCall] ends whose
// caller has gone. One who pressed Ctrl-C is still there.
var ErrHungUp = errors.New("the caller has gone")

// LocalCalls are the ones that come.
func (w *Worker) LocalCalls() <-chan *LocalCall { return w.local }

// takeLocal accepts a handed-over conversation.
func (w *Worker) takeLocal(m *ipc.Message) {
	var s ipc.Session
	if m.Decode(&s) != nil {
		return // the message is discarded with what came with it
	}
	conn := pairOf(m)
	if conn == nil {
		return
	}
	c := &LocalCall{user: s.User, args: s.Args, conn: conn, begun: make(chan struct{}), stdin: make(chan ipc.Data)}
	c.conn.Trust(false)
	c.over, c.end = context.WithCancel(w.hard)
	c.ctx, c.interrupt = context.WithCancelCause(w.hard)
	w.wg.Go(func() { w.offer(c) })
}

// offer gives the call to the shell and listens to its caller meanwhile.
func (w *Worker) offer(c *LocalCall) {
	defer c.conn.Close()
	defer c.interrupt(ErrHungUp)
	defer c.end()
	select {
	case w.local <- c:
	case <-w.soft.Done():
		return // the caller sees the end and may try the next shell worker
	}
	err := c.conn.Send(ipc.SendTimeout, ipc.TypeAttached, nil)
	close(c.begun)
	if err != nil {
		return
	}
	defer context.AfterFunc(c.over, func() { _ = c.conn.Close() })()
	for {
		m, err := c.conn.Receive(0)
		if err != nil {
			return
		}
		if m.Type == ipc.TypeCancel {
			c.interrupt(context.Canceled)
			continue
		}
		var d ipc.Data
		if m.Type != ipc.TypeStdin || m.Decode(&d) != nil {
			continue
		}
		select {
		case c.stdin <- d:
		case <-c.over.Done():
			return
		}
	}
}

// send tells the caller something, after it was told that it is attached.
func (c *LocalCall) send(d time.Duration, kind string, body any) error {
	<-c.begun
	return c.conn.Send(d, kind, body)
}

// User is who calls, as the kernel says: "root (ctl, uid 0, pid 4711)".
func (c *LocalCall) User() string { return c.user }

// Args are the command's words.
func (c *LocalCall) Args() []string { return c.args }

// Context ends when the caller pressed Ctrl-C or has gone.
func (c *LocalCall) Context() context.Context { return c.ctx }

// Stdin asks the caller for its input only when it is read.
func (c *LocalCall) Stdin() io.Reader { return stdin{c} }

// Stdout is the caller's standard output.
func (c *LocalCall) Stdout() io.Writer { return stream{c, ipc.TypeStdout} }

// Stderr is the caller's standard error.
func (c *LocalCall) Stderr() io.Writer { return stream{c, ipc.TypeStderr} }

// Exit ends the call with the command's status.
func (c *LocalCall) Exit(status int) error {
	err := errors.New("the call has ended")
	c.exited.Do(func() {
		err = c.send(ipc.SendTimeout, ipc.TypeExit, ipc.ExitStatus{Status: status})
		c.end()
	})
	return err
}

type stdin struct{ *LocalCall }

func (s stdin) Read(p []byte) (int, error) {
	if len(s.rest) == 0 && s.eof {
		return 0, io.EOF
	}
	if len(s.rest) == 0 {
		if err := s.send(ipc.SendTimeout, ipc.TypeWant, nil); err != nil {
			return 0, err
		}
		select {
		case d := <-s.stdin:
			s.rest, s.eof = d.Data, d.EOF
		case <-s.ctx.Done():
			return 0, context.Cause(s.ctx)
		}
		if len(s.rest) == 0 && s.eof {
			return 0, io.EOF
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

type stream struct {
	*LocalCall
	kind string
}

// streamPiece is how much output goes into one message.
const streamPiece = 32 << 10

func (s stream) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		piece := p[done:min(len(p), done+streamPiece)]
		if err := s.send(stallTimeout, s.kind, ipc.Data{Data: piece}); err != nil {
			return done, err
		}
		done += len(piece)
	}
	return done, nil
}

// stallTimeout is how long a caller may not read.
const stallTimeout = 60 * time.Second
