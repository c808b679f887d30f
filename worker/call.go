package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

// Handler answers a question to every worker of its pool, a
// [control.CallRequest]; its answer may have 512 KiB. ctx ends when the caller's
// time is over. An error or a panic fails the answer, not the worker.
type Handler func(ctx context.Context, args []string) ([]byte, error)

// Handle registers the handler of a name. Call it before Ready: then questions
// come.
func (w *Worker) Handle(name string, h Handler) {
	if strings.HasPrefix(name, control.HandlerPrefix) {
		panic("worker: handlers that begin with " + control.HandlerPrefix + " are norestart's own")
	}
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

// find looks for it among those of the modules, too.
func (h *handlers) find(name string, t *table) (Handler, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := maps.Clone(h.byName)
	if t != nil {
		all = maps.Clone(t.calls)
		maps.Copy(all, h.byName)
	}
	if f := all[name]; f != nil {
		return f, nil
	}
	names := slices.Sorted(maps.Keys(all))
	e := &control.Error{Code: control.ErrNoHandler.Code, Message: fmt.Sprintf("no handler %q", name)}
	if len(names) > 0 {
		e.Hint = "one of " + strings.Join(names, ", ")
	}
	return nil, e
}

// answer fetches the question of an invite and answers it, on a conversation of
// its own.
func (w *Worker) answer(i ipc.Invite) {
	h := w.hello()
	h.Purpose, h.Token = ipc.PurposeTake, i.Token
	conn, _, err := ipc.Open(w.working, w.dial, h)
	if err != nil {
		return // the caller notices by its deadline
	}
	defer conn.Close()
	m, err := conn.Receive(ipc.HelloTimeout)
	if err != nil {
		return // too late: the caller has given up
	}
	var q ipc.Question
	if err := m.Decode(&q); err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(w.working, q.Timeout)
	defer cancel()
	data, err := w.handle(ctx, q)
	_ = conn.Send(ipc.SendTimeout, ipc.TypeReply, ipc.Reply{Failure: ipc.FailureOf(err), Body: data}) // as above
}

// handle calls the handler; a panic fails the answer, not the worker.
func (w *Worker) handle(ctx context.Context, q ipc.Question) (data []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			fmt.Printf("panic in handler %s: %v\n%s", q.Handler, r, debug.Stack())
			err = fmt.Errorf("handler %s panicked: %v", q.Handler, r)
		}
	}()
	if f := w.builtIn(q.Handler); f != nil {
		return f(ctx, q.Args)
	}
	leave, err := w.connections.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	t, err := w.modules.pin(ctx)
	if err != nil {
		return nil, err
	}
	if t != nil {
		defer t.release()
	}
	f, err := w.handlers.find(q.Handler, t)
	if err != nil {
		return nil, err
	}
	data, err = f(ctx, q.Args)
	if len(data) > ipc.MessageLimit/2 {
		return nil, errors.New("the answer is too large")
	}
	return data, err
}
