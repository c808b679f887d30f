package worker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/worker/internal/mail"
)

// MaxMessage is how many bytes a message may have.
const MaxMessage = mail.MaxData

// Mailbox receives messages of other workers of the cluster, see [Worker.Send].
type Mailbox struct{ inbox *mail.Inbox }

// Message is one that was received. Until Done, Fail or Retry is called it counts as
// a request under way, and no other of its sender is received.
type Message struct {
	From             string // the worker that sent it, as in "web/2"
	Incarnation, Seq uint64 // of that process, and its number: of one process and slot they ascend
	Data             []byte
	// Redelivered tells that a process which was killed may have handled it.
	Redelivered bool

	m *mail.Message
}

// Done tells the sender that the message was handled.
func (m *Message) Done() { m.m.Done() }

// Fail tells the sender that the message is refused: its Send returns an error with
// err in it, which crosses as a [control.Error]. It is not received again.
func (m *Message) Fail(err error) { m.m.Fail(err) }

// Retry puts the message back: it is received again after that time, before any
// other of its sender.
func (m *Message) Retry(after time.Duration) { m.m.Retry(after) }

// Mailbox opens the mailbox of the worker. Call it before Ready, as often as is
// wanted. What has been handled is remembered over reloads, like the state of a
// module: so each message is handled once, unless a process is killed.
func (w *Worker) Mailbox() *Mailbox {
	w.mail.opening.Do(func() {
		in := mail.NewInbox(w.Incarnation())
		in.Enter, in.Go = w.enter, func(f func()) { w.wg.Go(f) }
		if err := w.register(mailModule, mailState(in)); err != nil {
			panic("worker: " + err.Error()) // the name is ours
		}
		context.AfterFunc(w.serving, in.End)
		context.AfterFunc(w.working, in.Abandon)
		w.mail.mu.Lock()
		defer w.mail.mu.Unlock()
		w.mail.inbox = in
	})
	return &Mailbox{w.mail.inbox}
}

// Receive waits for the next message. Messages of one process come in the order in
// which it has sent them. Called by several goroutines it gives each those of
// another sender. [Scope.HandleMessages] does it for you. Its error is that of ctx, or
// tells that the worker drains.
func (b *Mailbox) Receive(ctx context.Context) (*Message, error) {
	m, err := b.inbox.Receive(ctx)
	if err != nil {
		return nil, err
	}
	return &Message{m.From, m.Incarnation, m.Seq, m.Data, m.Redelivered, m}, nil
}

// enter waits until no state of this worker moves, to a successor or within the
// process, and lets none move before Leave.
func (w *Worker) enter(ctx context.Context) (mail.Pass, error) {
	out, err := w.connections.Enter(ctx)
	if err != nil {
		return nil, err
	}
	t, err := w.modules.pin(ctx)
	if err != nil {
		out()
		return nil, err
	}
	return &pass{t, out}, nil
}

// pass is the leave to handle a message by a table of handlers.
type pass struct {
	*table // nil: no module is loaded
	out    func()
}

func (p *pass) Leave() {
	if p.table != nil {
		p.release()
	}
	p.out()
}

// mailModule carries what a mailbox remembers.
const mailModule = control.HandlerPrefix + "mail"

func mailState(in *mail.Inbox) Module {
	return Module{
		Version:      "v1.0.0",
		BeforeReload: func(context.Context) (State, error) { return CBOR(in.Marks()) },
		AfterReload: func(_ context.Context, _ *Scope, state State) error {
			var m mail.Marks
			if err := state.CBOR(&m); err != nil {
				return err
			}
			in.Inherit(m)
			return nil
		},
	}
}

// mailing is the mail of one worker.
type mailing struct {
	opening sync.Once
	serving sync.Once  // begins to give messages to handlers of modules
	mu      sync.Mutex // a leaf
	inbox   *mail.Inbox
	outbox  mail.Outbox
	pools   map[string]*mailPool
}

func (m *mailing) box() *mail.Inbox {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.inbox
}

// letGo tells the senders to go to the successor.
func (m *mailing) letGo() {
	if in := m.box(); in != nil {
		in.LetGo()
	}
}

func (m *mailing) resume() {
	if in := m.box(); in != nil {
		in.Resume()
	}
}

// receiveMail serves a stream that the primary has passed on.
func (w *Worker) receiveMail(conn *ipc.Conn, m ipc.Mail) {
	defer conn.Close()
	in := w.mail.box()
	refuse := func(code, why string) {
		e := &control.Error{Code: code, Message: fmt.Sprintf("worker %s %s", w.ID(), why)}
		_ = conn.Send(ipc.SendTimeout, ipc.TypeRefused, ipc.FailureOf(e)) // else it has gone
	}
	if in == nil {
		refuse(control.ErrNoHandler.Code, "has no mailbox")
		return
	}
	lines := in.Lines()
	if lines == nil { // the sender asks again, less and less often
		refuse(control.ErrUnavailable.Code, "takes no messages now: it drains, or its state is with a successor")
		return
	}
	if conn.Send(ipc.SendTimeout, ipc.TypeMailbox, ipc.Mailbox{Lines: lines}) != nil {
		return
	}
	if stream, err := conn.Stream(); err == nil {
		in.Serve(stream, m.From, m.Incarnation, m.Peer)
	}
}
