package relay

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/norestart/norestart/internal/ipc"
)

// pool knows the processes that serve a pool, and the connections to them.
type pool struct {
	Pool
	left  func(ipc.Left)
	waits sync.WaitGroup // for processes that leave

	mu      sync.Mutex // a leaf: guards what follows, and all of upstream and link
	serving []*upstream
	known   map[uint64]*upstream // serving, or connected
	changed chan struct{}        // closed when serving changes
	turn    int
}

// upstream is a process that connections are passed on to.
type upstream struct {
	ipc.Upstream
	links   map[*link]struct{}
	leaving bool // it is to end
	awaited bool // somebody waits until nothing is asked of it
	http    *transport
}

func newPool(p Pool, left func(ipc.Left)) *pool {
	return &pool{Pool: p, left: left, known: make(map[uint64]*upstream), changed: make(chan struct{})}
}

// update takes in what the primary says. Processes keep their connections, whatever
// it says of them.
func (p *pool) update(u ipc.Upstreams, over <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serving = nil
	for _, s := range u.Serving {
		up := p.known[s.Incarnation]
		if up == nil {
			up = &upstream{Upstream: s, links: make(map[*link]struct{})}
			p.known[s.Incarnation] = up
		}
		p.serving = append(p.serving, up)
	}
	for _, inc := range u.Leaving {
		p.leave(inc, over)
	}
	for _, up := range p.known {
		p.forget(up)
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// forget drops a process that does not serve and has no connections.
func (p *pool) forget(up *upstream) {
	if slices.Contains(p.serving, up) {
		return
	}
	up.http.rest()
	if len(up.links) == 0 && !up.awaited {
		delete(p.known, up.Incarnation)
	}
}

// lookEvery is how often it is looked whether a process that leaves is still asked.
const lookEvery = 10 * time.Millisecond

// leave says of a process that it may end, as soon as nothing is asked of it.
func (p *pool) leave(inc uint64, over <-chan struct{}) {
	up := p.known[inc]
	if up == nil {
		p.waits.Go(func() { p.left(ipc.Left{Incarnation: inc}) })
		return
	}
	if up.leaving = true; up.awaited {
		return
	}
	up.awaited = true
	p.waits.Go(func() {
		for p.isAsked(up) {
			select {
			case <-time.After(lookEvery):
			case <-over:
				return
			}
		}
		p.left(ipc.Left{Incarnation: inc})
	})
}

// isAsked reports whether a connection waits for an answer of the process. If none
// does, its end is not waited for any more.
func (p *pool) isAsked(up *upstream) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for l := range up.links {
		if l.isAsked(now) {
			return true
		}
	}
	up.awaited = false
	p.forget(up)
	return false
}

// some reports whether a process serves; changed is closed when that may have changed.
func (p *pool) some() (some bool, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.serving) > 0, p.changed
}

// pick adds a link to the process with the fewest of them, in turn among equals, but
// for those that were tried; nil: there is none.
func (p *pool) pick(tried []*upstream, asked bool) (*link, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var best *upstream
	for i := range p.serving {
		up := p.serving[(p.turn+i)%len(p.serving)]
		if !slices.Contains(tried, up) && (best == nil || len(up.links) < len(best.links)) {
			best = up
		}
	}
	if best == nil {
		return nil, p.changed
	}
	p.turn++
	l := &link{pool: p, up: best, asked: asked}
	best.links[l] = struct{}{}
	return l, nil
}

func (p *pool) drop(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(l.up.links, l)
	p.forget(l.up)
}

// patience is how long a connection waits for a process that accepts it.
const patience = 30 * time.Second

// again is the pause after which those that refused are tried once more: one that has
// ended is known to the primary by then.
const again = 50 * time.Millisecond

// dialTimeout is how long a process may take to accept.
const dialTimeout = 2 * time.Second

// verdict is the pause after which processes that have ended a connection without a
// word, and are still there, are believed: those that died are not.
const verdict = time.Second

var (
	errNobody = errors.New("no worker accepted within 30 s")
	errEnded  = errors.New("each worker ended it without a word")
)

// connect opens a connection to a process that was not tried. One that refuses counts
// as tried for a moment only.
func (p *pool) connect(ctx context.Context, tried []*upstream) (*link, net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errNobody)
	defer cancel()
	for {
		l, c, err := p.connectOnce(ctx, tried)
		if l != nil || err != nil {
			return l, c, err
		}
	}
}

// connectOnce tries each process once and then waits a moment; all nil: again.
func (p *pool) connectOnce(ctx context.Context, tried []*upstream) (*link, net.Conn, error) {
	refused := slices.Clone(tried)
	for {
		l, changed := p.pick(refused, false)
		if l == nil {
			return nil, nil, p.pause(ctx, changed, tried, len(refused) > len(tried))
		}
		c, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", l.up.Addr)
		if err == nil {
			return l, c, nil
		}
		refused = append(refused, l.up)
		p.drop(l)
	}
}

// pause waits for a change.
func (p *pool) pause(ctx context.Context, changed <-chan struct{}, tried []*upstream, refused bool) error {
	wait := again
	believed := len(tried) > 0 && !refused
	if some, _ := p.some(); believed && some {
		wait = verdict
	}
	select {
	case <-changed:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(wait):
		if wait == verdict {
			return errEnded
		}
	}
	return nil
}
