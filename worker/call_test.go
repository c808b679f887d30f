package worker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

func TestHandlers(t *testing.T) {
	run := func(ctx context.Context, w *Worker) error {
		w.Handle("join", func(_ context.Context, args []string) ([]byte, error) { return []byte(strings.Join(args, "+")), nil })
		w.Handle("fail", func(context.Context, []string) ([]byte, error) { return nil, errors.New("no such item") })
		w.Handle("busy", func(context.Context, []string) ([]byte, error) { return nil, control.ErrBusy })
		w.Handle("panic", func(context.Context, []string) ([]byte, error) { panic("oh") })
		w.Handle("large", func(context.Context, []string) ([]byte, error) { return make([]byte, ipc.MessageLimit), nil })
		w.Handle("slow", func(ctx context.Context, _ []string) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		return untilAsked(ctx, w)
	}
	tests := map[string]struct {
		q    ipc.Question
		data string
		code string
		text string
	}{
		"answers":    {ipc.Question{Handler: "join", Args: []string{"a", "b"}}, "a+b", "", ""},
		"fails":      {ipc.Question{Handler: "fail"}, "", control.ErrInternal.Code, "no such item"},
		"has a code": {ipc.Question{Handler: "busy"}, "", control.ErrBusy.Code, "busy"},
		"panics":     {ipc.Question{Handler: "panic"}, "", control.ErrInternal.Code, "handler panic panicked: oh"},
		"too large":  {ipc.Question{Handler: "large"}, "", control.ErrInternal.Code, "the answer is too large"},
		"unknown":    {ipc.Question{Handler: "jion"}, "", control.ErrNoHandler.Code, `no handler "jion"`},
		"in time":    {ipc.Question{Handler: "slow", Timeout: 10 * time.Millisecond}, "", control.ErrTimeout.Code, "context deadline exceeded"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPrimary(t)
			if p.ask = test.q; p.ask.Timeout == 0 {
				p.ask.Timeout = soon
			}
			w := p.start(run)
			w.await(ipc.TypeReady)
			w.send(ipc.TypeInvite, ipc.Invite{Token: "t"})
			select {
			case r := <-p.reply:
				var f control.Error
				if r.Failure != nil {
					f = *r.Failure
				}
				if string(r.Body) != test.data || f.Code != test.code || f.Message != test.text {
					t.Errorf("%q, %+v; want %q, %s %q", r.Body, f, test.data, test.code, test.text)
				}
				if test.code == control.ErrNoHandler.Code && f.Hint != "one of busy, fail, join, large, panic, slow" {
					t.Errorf("hint %q", f.Hint)
				}
			case <-time.After(soon):
				t.Error("no reply")
			}
		})
	}
}

// TestAskedWhileDraining: a question is no new work of the pool.
func TestAskedWhileDraining(t *testing.T) {
	p := newPrimary(t)
	p.ask = ipc.Question{Handler: "name", Timeout: soon}
	w := p.start(func(_ context.Context, w *Worker) error {
		w.Handle("name", func(context.Context, []string) ([]byte, error) { return []byte(w.ID()), nil })
		w.Ready()
		<-w.Context().Done()
		return nil
	})
	w.await(ipc.TypeReady)
	w.send(ipc.TypeDrain, ipc.Drain{})
	w.await(ipc.TypeClosed)
	w.send(ipc.TypeInvite, ipc.Invite{Token: "t"})
	if r := <-p.reply; string(r.Body) != "web/2" {
		t.Errorf("%+v", r)
	}
	w.send(ipc.TypeDrain, ipc.Drain{Final: true, Deadline: time.Millisecond})
}
