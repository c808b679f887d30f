package primary

import (
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

// Programs under control.ShareRelay serve on the private port that they are told. The
// workers of the relay, a built-in pool, accept at the addresses of their pool and
// pass on to those that the primary names: it names a process from when it is ready
// until it is to end, and sends the stop signal when every relay has said that none of
// its connections waits for an answer.

// A program that was told a port listens at one of these, or at both: some take
// localhost for ::1 alone.
const loopback4, loopback6 = "127.0.0.1", "::1"

// equipRelayed gives a new process a private port.
func (l *loop) equipRelayed(r *process, e *equipment) error {
	port, err := l.privatePort()
	r.port, e.port = port, strconv.Itoa(port)
	r.private = net.JoinHostPort(loopback4, e.port)
	return err
}

// The pauses between attempts to reach a private port, and the time that one may take.
const (
	firstDial   = 2 * time.Millisecond
	lastDial    = 100 * time.Millisecond
	dialTimeout = time.Second
)

// readyByDial makes a process ready when its private port accepts.
func (l *loop) readyByDial(s *slot, r *process) {
	if s.pool.spec.Share == control.ShareRelay && s.pool.spec.Protocol == control.ProtocolListen {
		l.dialPrivate(s, r, firstDial)
	}
}

func (l *loop) dialPrivate(s *slot, r *process, pause time.Duration) {
	post, private := l.post, r.private
	l.spawn.wg.Go(func() {
		at := accepting(private)
		post(func(l *loop) {
			switch p, _ := s.find(r.inc); {
			case s.processes[r.inc] != r || p.ready:
			case at != "":
				r.private = at
				l.becameReady(s, r.inc)
			default:
				l.later(s, r, pause, func(l *loop) { l.dialPrivate(s, r, min(2*pause, lastDial)) })
			}
		})
	})
}

// accepting is the address of a private port that accepts, that of IPv4 if both do;
// empty: none does.
func accepting(private string) (at string) {
	_, port, _ := net.SplitHostPort(private) // of ours
	for _, host := range []string{loopback6, loopback4} {
		addr := net.JoinHostPort(host, port)
		if c, err := net.DialTimeout("tcp", addr, dialTimeout); err == nil {
			_ = c.Close()
			at = addr
		}
	}
	return at
}

func (l *loop) relays(p *pool) bool { return p.spec.Name == l.cfg.Spec.Relay }

// public are the listeners to which clients come.
func (p *pool) public() []*listener {
	if p.relay == nil {
		return p.listeners(p.coming())
	}
	var all []*listener
	gen := p.relay.coming()
	for i, o := range p.relay.listeners(gen) {
		if pool, _, _ := strings.Cut(p.relay.nameAt(p.relay.listenOf(gen), i), "."); pool == p.spec.Name {
			all = append(all, o)
		}
	}
	return all
}

// tellRelay tells each worker of the relay where the processes of the pool are, if
// that has changed. While the pool is taken over, the relay goes on with what it knows.
func (p *pool) tellRelay() {
	if p.relay == nil || p.adoption != nil {
		return
	}
	u := p.upstreams()
	for _, r := range processes(p.relay.slots) {
		if r.conv == nil || reflect.DeepEqual(r.upstreams[u.Pool], u) || !r.conv.send(ipc.TypeUpstreams, u) {
			continue
		}
		if r.upstreams == nil {
			r.upstreams = make(map[string]ipc.Upstreams)
		}
		r.upstreams[u.Pool] = u
	}
}

func (p *pool) upstreams() ipc.Upstreams {
	u := ipc.Upstreams{Pool: p.spec.Name, Serving: []ipc.Upstream{}}
	for _, s := range p.slots {
		for _, place := range []processState{s.cur, s.next} {
			if s.serving(place) {
				u.Serving = append(u.Serving, ipc.Upstream{Incarnation: place.inc, Addr: s.processes[place.inc].private})
			}
		}
		for _, r := range s.processes {
			if r.asked && !r.closed {
				u.Leaving = append(u.Leaving, r.inc)
			}
		}
	}
	slices.Sort(u.Leaving)
	return u
}

// left notes that a worker of the relay does not need a process any more.
func (l *loop) left(relay *pool, by, inc uint64) {
	for s, r := range processes(l.slots()) {
		if s.pool.relay == relay && r.inc == inc {
			if r.left == nil {
				r.left = make(map[uint64]bool)
			}
			r.left[by] = true
		}
	}
}

// leaveRelay sends the stop signal when no worker of the relay needs the process any
// more, or its time is over.
func (l *loop) leaveRelay(s *slot, r *process, until time.Time) {
	if s.pool.relay.needs(r) && time.Now().Before(until) {
		l.later(s, r, turnEvery, func(l *loop) { l.leaveRelay(s, r, until) })
		return
	}
	r.closed = true
	l.askToEnd(s, r)
}

// needs reports whether a worker of the relay may still send something to a process.
// One that has not joined has not been told of it.
func (p *pool) needs(r *process) bool {
	return p.has(func(relay *process) bool {
		return !r.left[relay.inc] && !relay.gone && (relay.conv != nil || p.adoption != nil)
	})
}
