package agent

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/sessions"
)

// cluster answers as a primary does.
type cluster struct {
	mu      sync.Mutex
	gone    bool
	status  control.Status
	workers []control.WorkerInfo
	exits   map[string][]control.Exit
	jobs    []control.Job
	spec    control.Spec
	modules []control.ModuleInfo
	mail    control.MailInfo
	events  []control.Event
	lines   []control.LogLine
	probed  []control.ProbedRequest
	news    chan struct{} // closed at the next event or line
}

func (c *cluster) Get(_ context.Context, query any) (any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return nil, control.ErrUnavailable
	}
	switch q := query.(type) {
	case control.StatusQuery:
		return c.status, nil
	case control.WorkersQuery:
		return c.workers, nil
	case control.WorkerQuery:
		return control.WorkerDetail{Exits: c.exits[q.ID]}, nil
	case control.JobsQuery:
		return c.jobs, nil
	case control.SpecQuery:
		return c.spec, nil
	}
	return nil, control.ErrUsage
}

func (c *cluster) Watch(ctx context.Context, stream any, fn func(any) error) error {
	switch q := stream.(type) {
	case control.CallRequest:
		answers := map[string]any{
			sessions.HandlerList:   []sessions.Session{{Via: "ssh"}, {Via: "ssh"}, {Via: "tls"}},
			control.HandlerModules: c.modules, control.HandlerMail: c.mail,
		}
		data, err := json.Marshal(answers[q.Handler])
		if err != nil {
			return err
		}
		return fn(control.CallReply{Worker: q.Pool + "/0", Data: data})
	case control.EventQuery:
		return watch(ctx, c, &c.events, q.After, q.Lines, q.Follow, fn)
	case control.LogQuery:
		return watch(ctx, c, &c.lines, q.After, q.Lines, q.Follow, fn)
	}
	return control.ErrUsage
}

// watch gives the elements of a stream as a primary does of which all are kept.
func watch[E any](ctx context.Context, c *cluster, kept *[]E, after control.Cursor, lines int, follow bool, fn func(any) error) error {
	c.mu.Lock()
	next := int(after.Seq)
	if next == 0 && lines < 0 {
		next = len(*kept)
	} else if next == 0 {
		next = max(0, len(*kept)-lines)
	}
	c.mu.Unlock()
	for {
		c.mu.Lock()
		all, news := (*kept)[next:], c.news
		if news == nil {
			news = make(chan struct{})
			c.news = news
		}
		c.mu.Unlock()
		for _, e := range all {
			next++
			if err := fn(e); err != nil {
				return err
			}
		}
		if !follow {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (c *cluster) Do(_ context.Context, r control.Request, _ func(control.JobEvent) error) (control.Job, error) {
	probed, ok := r.(control.ProbedRequest)
	if !ok {
		return control.Job{}, control.ErrUsage
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.probed = append(c.probed, probed)
	return control.Job{}, nil
}

// found are the failures that probes have told, in order.
func (c *cluster) found() (all []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.probed {
		all = append(all, r.Failure)
	}
	return all
}

// tell lets something happen.
func (c *cluster) tell(e control.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.Cursor = control.Cursor{Epoch: 1, Seq: uint64(len(c.events) + 1)}
	c.events = append(c.events, e)
	c.wake()
}

// say lets a worker write a line.
func (c *cluster) say(x control.LogLine) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x.Cursor = control.Cursor{Epoch: 1, Seq: uint64(len(c.lines) + 1)}
	c.lines = append(c.lines, x)
	c.wake()
}

func (c *cluster) wake() {
	if c.news != nil {
		close(c.news)
		c.news = nil
	}
}
