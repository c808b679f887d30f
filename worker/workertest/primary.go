package workertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

// primary is as much of one as a worker needs.
type primary struct {
	dir   string
	ln    *net.UnixListener
	talks sync.WaitGroup

	mu        sync.Mutex           // a leaf; protects what follows
	processes []*process           // the first one has incarnation 1
	questions map[string]*question // by their tokens
	asked     int
}

// question waits for its answer.
type question struct {
	ipc.Question
	reply chan ipc.Reply // size 1
}

func newPrimary(dir string) (*primary, error) {
	ln, err := inherit.ListenUnix(filepath.Join(dir, ipc.WorkerSocket), 0o600)
	if err != nil {
		return nil, err
	}
	p := &primary{dir: dir, ln: ln, questions: make(map[string]*question)}
	p.talks.Go(p.accept)
	return p, nil
}

// close ends all conversations.
func (p *primary) close() {
	_ = p.ln.Close()
	p.mu.Lock()
	for _, w := range p.processes {
		if isClosed(w.joined) {
			_ = w.conn.Close() // it has ended, or is stuck
		}
	}
	p.mu.Unlock()
	p.talks.Wait()
}

func (p *primary) expect() *process {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := newProcess(uint64(len(p.processes) + 1))
	p.processes = append(p.processes, w)
	return w
}

func (p *primary) accept() {
	for {
		c, err := p.ln.AcceptUnix()
		if err != nil {
			return
		}
		p.talks.Go(func() {
			conn := ipc.NewConn(c)
			defer conn.Close()
			p.greet(conn)
		})
	}
}

// patience is how long a worker of this process may take for its part of a
// conversation, and how long a call has that names no time.
const patience = time.Minute

func (p *primary) greet(conn *ipc.Conn) {
	m, err := conn.Receive(patience)
	if err != nil {
		return
	}
	var h ipc.Hello
	if m.Discard(); m.Decode(&h) != nil {
		return
	}
	conn.Trust(false)
	w, q := p.process(h), p.question(h)
	if w == nil && q == nil && h.Purpose != ipc.PurposeMail {
		_ = conn.Send(ipc.SendTimeout, ipc.TypeRefused, ipc.FailureOf(errNoCluster)) // the worker has ended, if that fails
		return
	}
	if conn.Send(ipc.SendTimeout, ipc.TypeWelcome, ipc.Welcome{Protocol: ipc.Version, Name: "test", PID: os.Getpid()}) != nil {
		return
	}
	switch {
	case q != nil:
		q.reply <- q.putTo(conn)
		return
	case w == nil:
		if err := p.passMail(conn, h); err != nil {
			_ = conn.Send(ipc.SendTimeout, ipc.TypeRefused, ipc.FailureOf(err)) // as above
		}
		return
	}
	w.conn = conn
	close(w.joined)
	w.listen()
}

// errNoCluster answers what only the primary of a cluster can do.
var errNoCluster = &control.Error{
	Code: control.ErrUnavailable.Code, Message: "this test has no cluster",
	Hint: "use workertest.StartCluster",
}

// process is the one that joins by a hello; nil: it has joined, or joins not.
func (p *primary) process(h ipc.Hello) *process {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := h.Incarnation - 1
	if h.Purpose != ipc.PurposeControl || i >= uint64(len(p.processes)) || isClosed(p.processes[i].joined) {
		return nil
	}
	return p.processes[i]
}

func (p *primary) question(h ipc.Hello) *question {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h.Purpose != ipc.PurposeTake {
		return nil
	}
	return p.questions[h.Token] // nil: its caller has given up
}

func (q *question) putTo(conn *ipc.Conn) (r ipc.Reply) {
	err := conn.Send(ipc.SendTimeout, ipc.TypeRequest, q.Question)
	if err == nil {
		var m ipc.Message
		if m, err = conn.Receive(q.Timeout + patience); err == nil {
			err = m.Decode(&r)
		}
		m.Discard()
	}
	if err != nil {
		r.Failure = ipc.FailureOf(fmt.Errorf("the worker does not answer: %w", err))
	}
	return r
}

// ask puts a question to a worker.
func (p *primary) ask(ctx context.Context, w *process, handler string, args []string) ([]byte, error) {
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	until, _ := ctx.Deadline()
	q := &question{ipc.Question{Handler: handler, Args: args, Timeout: time.Until(until)}, make(chan ipc.Reply, 1)}
	token, forget := p.note(q)
	defer forget()
	if w.conn.Send(ipc.SendTimeout, ipc.TypeInvite, ipc.Invite{Token: token}) != nil {
		return nil, errEnded
	}
	select {
	case r := <-q.reply:
		return r.Body, r.Err()
	case <-w.over:
		return nil, errEnded
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (p *primary) note(q *question) (token string, forget func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	token = strconv.Itoa(p.asked)
	p.questions[token] = q
	return token, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.questions, token)
	}
}

var errEnded = errors.New("the worker has ended")
