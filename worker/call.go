package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

// Handler answers a question that was asked of every worker of its pool
// (control.Control's Call). ctx ends when the asker's time is over.
type Handler func(ctx context.Context, args []string) ([]byte, error)

// Handle registers the handler of a name. It should be called before Ready.
func (w *Worker) Handle(name string, h Handler) {
	w.handlers.mu.Lock()
	defer w.handlers.mu.Unlock()
	if w.handlers.byName == nil {
		w.handlers.byName = make(map[string]Handler)
	}
	w.handlers.byName[name] = h
}

// handlers are those of one worker; mu is a leaf.
type handlers struct {
	mu     sync.Mutex
	byName map[string]Handler
}

func (h *handlers) find(name string) (Handler, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.byName[name]; f != nil {
		return f, nil
	}
	var names []string
	for n := range h.byName {
		names = append(names, n)
	}
	slices.Sort(names)
	e := &control.Error{Code: control.ErrNoHandler.Code, Message: fmt.Sprintf("no handler %q", name)}
	if len(names) > 0 {
		e.Hint = "one of " + strings.Join(names, ", ")
	}
	return nil, e
}

// take fetches the question of an invite and answers it, on a conversation of
// its own.
func (w *Worker) take(i ipc.Invite) {
	h := w.hello()
	h.Purpose, h.Token = ipc.PurposeTake, i.Token
	conn, _, err := ipc.Open(w.hard, w.dial, h)
	if err != nil {
		return // the asker learns it by the silence
	}
	defer conn.Close()
	m, err := conn.Receive(ipc.HelloTimeout)
	if err != nil {
		return // it was too late: the asker has given up
	}
	var q ipc.Question
	if err := m.Decode(&q); err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(w.hard, q.Timeout)
	defer cancel()
	data, err := w.handle(ctx, q)
	_ = conn.Send(ipc.SendTimeout, ipc.TypeReply, ipc.Reply{Failure: ipc.FailureOf(err), Body: data}) // as above
}

// handle calls the handler; a panic is its failure, not the worker's.
func (w *Worker) handle(ctx context.Context, q ipc.Question) (data []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			fmt.Printf("panic in handler %s: %v\n%s", q.Handler, r, debug.Stack())
			err = fmt.Errorf("handler %s panicked: %v", q.Handler, r)
		}
	}()
	f, err := w.handlers.find(q.Handler)
	if err != nil {
		return nil, err
	}
	data, err = f(ctx, q.Args)
	if len(data) > ipc.MessageLimit/2 {
		return nil, errors.New("the answer is too large")
	}
	return data, err
}
