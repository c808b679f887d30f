package primary

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

// calls are the questions that workers were invited to take. Nothing is called
// while mu, a leaf, is held.
type calls struct {
	mu   sync.Mutex
	open map[string]*question // by token
}

// question is the question to one process.
type question struct {
	from    control.CallReply // the worker and its generation, without an answer
	inc     uint64
	leaving bool
	ipc.Question
	reply chan answered   // has room for every worker's
	over  context.Context // ends when nobody waits any more
}

func (c *calls) add(q *question) string {
	token := rand.Text()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = make(map[string]*question)
	}
	c.open[token] = q
	return token
}

// claim removes a question: only its process may take it, once.
func (c *calls) claim(token string, inc uint64) *question {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := c.open[token]
	if q == nil || q.inc != inc {
		return nil
	}
	delete(c.open, token)
	return q
}

// gone answers the questions to a process that has ended before it took them.
func (c *calls) gone(inc uint64) {
	for _, q := range c.claimAll(inc) {
		q.fail("it ended before it answered")
	}
}

func (q *question) fail(why string) {
	r := q.from
	r.Error = why
	q.reply <- answered{r, q.leaving} // it has room
}

func (c *calls) claimAll(inc uint64) (all []*question) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for token, q := range c.open {
		if q.inc == inc {
			delete(c.open, token)
			all = append(all, q)
		}
	}
	return all
}

func (c *calls) drop(tokens []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range tokens {
		delete(c.open, t)
	}
}

// take gives a worker the question of its invite and waits for the answer.
func (c *calls) take(conn *ipc.Conn, token string, inc uint64) {
	q := c.claim(token, inc)
	if q == nil {
		return // too late
	}
	defer context.AfterFunc(q.over, func() { _ = conn.Close() })()
	r := q.from
	if err := converse(conn, q, &r); err != nil {
		r.Error = err.Error()
		if e, ok := errors.AsType[*control.Error](err); ok {
			r.Code = e.Code
		}
	}
	q.reply <- answered{CallReply: r}
}

func converse(conn *ipc.Conn, q *question, r *control.CallReply) error {
	if err := conn.Send(ipc.SendTimeout, ipc.TypeRequest, q.Question); err != nil {
		return err
	}
	m, err := conn.Receive(q.Timeout)
	if err != nil {
		return fmt.Errorf("it ended, or closed the conversation, before it answered: %w", err)
	}
	var reply ipc.Reply
	if err := m.Decode(&reply); err != nil {
		return err
	}
	r.Data = reply.Body
	return reply.Err()
}

// call invites every ready worker of a pool over its lasting conversation; each
// answers on a conversation of its own, so that a silent one holds up no other.
func (c caller) call(ctx context.Context, r control.CallRequest, fn func(control.CallReply) error) error {
	if r.Timeout <= 0 {
		r.Timeout = control.DefaultCallTimeout
	}
	over, cancel := context.WithCancel(ctx)
	defer cancel()
	asked, err := c.invite(over, r)
	if err != nil {
		return err
	}
	defer c.p.calls.drop(asked.tokens)
	deadline := time.NewTimer(r.Timeout)
	defer deadline.Stop()
	for len(asked.waiting) > 0 {
		select {
		case reply := <-asked.replies:
			if err := asked.answered(reply, fn); err != nil {
				return err
			}
		case <-deadline.C:
			return asked.silent(r.Timeout, fn)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// answered is a reply, or the end of a process that was retired anyway: that one
// is not shown.
type answered struct {
	control.CallReply
	left bool
}

// round is one call to all workers of a pool.
type round struct {
	waiting []control.CallReply // without an answer
	tokens  []string
	replies chan answered
}

func (r *round) answered(a answered, fn func(control.CallReply) error) error {
	r.waiting = slices.DeleteFunc(r.waiting, func(w control.CallReply) bool { return w.Worker == a.Worker })
	if a.left {
		return nil
	}
	return fn(a.CallReply)
}

// silent adds replies for those that have not answered in time.
func (r *round) silent(after time.Duration, fn func(control.CallReply) error) error {
	for len(r.replies) > 0 { // they came together with the deadline
		if err := r.answered(<-r.replies, fn); err != nil {
			return err
		}
	}
	for _, w := range r.waiting {
		w.Error, w.Code = fmt.Sprintf("no answer within %v", after), control.ErrTimeout.Code
		if err := fn(w); err != nil {
			return err
		}
	}
	return nil
}

func (c caller) invite(ctx context.Context, r control.CallRequest) (round, error) {
	return ask(ctx, c.p, func(l *loop) (round, error) {
		p, err := l.pool(r.Pool)
		if err != nil {
			return round{}, err
		}
		all := p.audience()
		asked := round{replies: make(chan answered, len(all))}
		for _, who := range all {
			q := &question{
				from: control.CallReply{Worker: who.name, Generation: who.run.gen}, inc: who.run.inc, leaving: who.leaving,
				reply: asked.replies, over: ctx, Question: ipc.Question{Handler: r.Handler, Args: r.Args, Timeout: r.Timeout},
			}
			token := c.p.calls.add(q)
			asked.waiting, asked.tokens = append(asked.waiting, q.from), append(asked.tokens, token)
			if !who.run.conv.send(ipc.TypeInvite, ipc.Invite{Token: token}) && c.p.calls.claim(token, who.run.inc) != nil {
				q.fail("it has lost its connection")
			}
		}
		if len(asked.waiting) == 0 {
			return asked, &control.Error{Code: control.ErrUnavailable.Code, Message: fmt.Sprintf("no worker of %s is ready", r.Pool), Hint: "status"}
		}
		return asked, nil
	})
}

// recipient is one process that a call reaches.
type recipient struct {
	name    string
	run     *process
	leaving bool // retired: it may end at any moment
}

// answering is the ready process of a slot that has its state; nil: none. A
// successor that is ready has taken it.
func (s *slot) answering() *process {
	next := s.processes[s.next.inc]
	switch {
	case next != nil && next.introduced && s.next.serves():
		return next
	case s.cur.serves():
		return s.processes[s.cur.inc]
	}
	return nil
}

// audience are the ready workers of a pool and, if retired processes may stay as
// long as they wish (the shell's sessions), those too, named with their pid.
func (p *pool) audience() []recipient {
	var all []recipient
	for _, s := range p.slots {
		if run := s.answering(); run != nil && run.conv != nil {
			all = append(all, recipient{s.id(), run, false})
		}
		for _, old := range s.old {
			run := s.processes[old.inc]
			if p.spec.MaxOutgoing > 0 && old.ending == told && run != nil && run.conv != nil {
				all = append(all, recipient{fmt.Sprintf("%s (pid %d)", s.id(), run.pid()), run, true})
			}
		}
	}
	return all
}
