package ipc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/norestart/norestart/control"
)

const (
	// idleEvery is how often a streamed answer without elements says that it goes
	// on.
	idleEvery = 10 * time.Second
	// stallAfter bounds the write to a reader of a streamed answer.
	stallAfter = 60 * time.Second
)

// Server answers requests with a [control.Control].
type Server struct {
	// As gives the cluster as one user may use it.
	As func(user string) control.Control
}

// Answer carries out one request on its conversation and returns when the answer
// is sent or the peer has gone. allow refuses requests that the peer has no right
// to.
func (s *Server) Answer(ctx context.Context, c *Conn, r Request, allow func(*Request) error) error {
	m, err := methodNamed(r.Method)
	if err == nil {
		err = allow(&r)
	}
	var q any
	if err == nil {
		q, err = m.decode(r.Body)
	}
	if err != nil {
		return reply(c, nil, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	defer c.Close() // ends the watcher
	wg.Go(func() {
		defer cancel()
		_, _ = c.Receive(0) // any message, and the end, mean that the peer wants no more
	})
	beating := newBeating(c)
	wg.Go(func() {
		defer cancel()
		beating.run(ctx)
	})
	body, err := m.run(ctx, s.As(r.User), q, r.Follow, beating.item)
	if err != nil && ctx.Err() != nil {
		return err // the peer has gone, or the primary ends
	}
	return reply(c, body, err)
}

// OwnPoolOnly is the right of a pool with [control.GrantReload].
func OwnPoolOnly(pool string, r Request) error {
	switch r.Method {
	case methodFollowJob, methodJobs, methodStatus:
		return nil
	case methodReload:
		var q control.ReloadRequest
		if err := decodeBody(r.Method, r.Body, &q); err != nil {
			return err
		}
		if slices.Equal(q.Pools, []string{pool}) {
			return nil
		}
	}
	return &control.Error{Code: control.ErrDenied.Code, Message: fmt.Sprintf("pool %s has no grant for %s", pool, r.Method)}
}

func reply(c *Conn, body any, err error) error {
	var raw []byte
	if err == nil {
		if raw, err = Encode(body); err != nil {
			err = fmt.Errorf("encode the answer: %w", err)
		}
	}
	err = c.Send(SendTimeout, TypeReply, Reply{Failure: FailureOf(err), Body: raw})
	if errors.Is(err, ErrTooLarge) {
		err = c.Send(SendTimeout, TypeReply, Reply{Failure: FailureOf(errTooMuch)})
	}
	return err
}

// errTooMuch replaces an answer that does not fit into a message.
var errTooMuch = &control.Error{Code: control.ErrInternal.Code, Message: "the answer is larger than a message may be"}

// beating sends the elements of a streamed answer, and a sign that it goes on
// while there are none.
type beating struct {
	c    *Conn
	sent chan struct{}
}

func newBeating(c *Conn) *beating { return &beating{c: c, sent: make(chan struct{}, 1)} }

func (b *beating) item(v any) error {
	select {
	case b.sent <- struct{}{}:
	default:
	}
	return b.c.Send(stallAfter, TypeItem, v)
}

func (b *beating) run(ctx context.Context) {
	t := time.NewTicker(idleEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.sent:
			t.Reset(idleEvery)
		case <-t.C:
			if b.c.Send(stallAfter, TypeIdle, nil) != nil {
				return // the peer does not read
			}
		}
	}
}
