package worker

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/norestart/norestart/control"
)

// MessageHandler handles a message: nil is Done, an error or a panic Fail, unless it
// has ended the message itself, as by [Message.Retry]. ctx is [Worker.Context].
type MessageHandler func(ctx context.Context, m *Message) error

// HandleMessages registers the handler of the messages to the worker's mailbox. Open
// that before, and do not call its Receive. Each message has a goroutine; those of one
// sending process come one after the other.
func (s *Scope) HandleMessages(b *Mailbox, h MessageHandler) {
	if b == nil {
		panic("worker: HandleMessages needs the mailbox that Worker.Mailbox has opened")
	}
	s.register(func() { s.messages = h })
}

// handleMessages gives each message to the handler of the table that it keeps, until
// the worker drains.
func (w *Worker) handleMessages() {
	box := w.Mailbox()
	for {
		m, err := box.Receive(w.working)
		if err != nil {
			return
		}
		w.wg.Go(func() { w.handleMessage(m) })
	}
}

func (w *Worker) handleMessage(m *Message) {
	defer func() {
		if r := recover(); r != nil {
			fmt.Printf("panic in the handler of messages: %v\n%s", r, debug.Stack())
			m.Fail(fmt.Errorf("the handler panicked: %v", r))
		}
	}()
	h := m.m.Pass.(*pass).messages
	if h == nil { // the module has gone
		m.Fail(&control.Error{Code: control.ErrNoHandler.Code, Message: fmt.Sprintf("no module of %s handles messages", w.ID())})
		return
	}
	if err := h(w.working, m); err != nil {
		m.Fail(err)
		return
	}
	m.Done()
}
