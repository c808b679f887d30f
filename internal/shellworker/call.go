package shellworker

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/norestart/norestart/internal/ipc"
)

// Call is a command of the application for a caller on the machine itself: the
// primary has handed the caller's conversation to this worker.
type Call struct {
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

// ErrHungUp is the cause of the context of a [Call] whose caller has gone. After
// a Ctrl-C the caller is still there.
var ErrHungUp = errors.New("the caller has gone")

// Serve gives a call to the shell, if that takes it before serving ends, and
// listens to the caller until the call or working ends.
func Serve(serving, working context.Context, calls chan<- *Call, conn *ipc.Conn, s ipc.Session) {
	defer conn.Close()
	conn.Trust(false)
	c := &Call{user: s.User, args: s.Args, conn: conn, begun: make(chan struct{}), stdin: make(chan ipc.Data)}
	c.ctx, c.interrupt = context.WithCancelCause(working)
	defer c.interrupt(ErrHungUp)
	c.over, c.end = context.WithCancel(working)
	defer c.end()
	select {
	case calls <- c:
	case <-serving.Done():
		return // the caller sees the end and may try the next shell worker
	}
	err := conn.Send(ipc.SendTimeout, ipc.TypeAttached, nil)
	if err != nil {
		c.interrupt(ErrHungUp) // it gave up while it waited: the command must not begin
	}
	close(c.begun)
	if err != nil {
		return
	}
	defer context.AfterFunc(c.over, func() { _ = conn.Close() })()
	c.listen()
}

// listen takes what the caller says.
func (c *Call) listen() {
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

// send sends to the caller, once it was told that it is attached.
func (c *Call) send(d time.Duration, kind string, body any) error {
	<-c.begun
	return c.conn.Send(d, kind, body)
}

// User is the caller according to the kernel: "root (ctl, uid 0, pid 4711)".
func (c *Call) User() string { return c.user }

func (c *Call) Args() []string { return c.args }

// Context ends when the caller pressed Ctrl-C or has gone. It may have ended
// before the call was taken: check it before doing anything.
func (c *Call) Context() context.Context {
	<-c.begun
	return c.ctx
}

// Stdin reads the caller's input, and asks for it only when it is read.
func (c *Call) Stdin() io.Reader { return stdin{c} }

func (c *Call) Stdout() io.Writer { return stream{c, ipc.TypeStdout} }

func (c *Call) Stderr() io.Writer { return stream{c, ipc.TypeStderr} }

// Exit ends the call with the command's status.
func (c *Call) Exit(status int) error {
	err := errors.New("the call has ended")
	c.exited.Do(func() {
		err = c.send(ipc.SendTimeout, ipc.TypeExit, ipc.ExitStatus{Status: status})
		c.end()
	})
	return err
}

type stdin struct{ *Call }

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
	*Call
	kind string
}

// streamPiece bounds the output in one message.
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

// stallTimeout bounds the write to a caller that does not read.
const stallTimeout = 60 * time.Second
