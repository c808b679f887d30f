package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/norestart/norestart/internal/harness"
)

const (
	clientsOfAKind = 12
	// requestTimeout leaves time for the worst that may be asked of a request:
	// its connection waits in the queue of a slot whose worker is stopped, while
	// the primary is dead.
	requestTimeout = 75 * time.Second
	// restTimeout is how long a client keeps an idle connection. A server may
	// close an idle connection, and a request that crosses with that is not
	// lost by a fault (RFC 9112 §9.6); the cluster's lame duck is twice as
	// long.
	restTimeout = time.Second
	slowEvery   = 8 // requests of a client: one of them takes a while
)

type loss struct {
	harness.Sample
	kind, id string
	seen     []string // lines of the access log on it
}

func (l loss) String() string {
	return fmt.Sprintf("%s %s from %s (first of its connection: %t), connected %s, sent %s, failed %s: %v\n    %s",
		l.kind, l.id, l.Local, l.Fresh, stamp(l.Dialed), stamp(l.Sent), stamp(l.Ended), l.Err, strings.Join(l.seen, "\n    "))
}

// startClients starts clients of both kinds: one connection for each request, and
// one for many.
func startClients(address string, rate int, j *journal, seen func(id, remote string) []string) []*harness.Running {
	start := func(kind string, keep bool) *harness.Running {
		id := func(client, n int) string { return fmt.Sprintf("%s-%d-%d", kind, client, n) }
		return harness.Load{
			Client:  harness.Client{Address: address, Keep: keep, Rest: restTimeout, Timeout: requestTimeout, Want: "hello from web/"},
			Clients: clientsOfAKind, Rate: rate,
			Path: func(client, n int) (path, head string) {
				path, head = "/", "X-Request-Id: "+id(client, n)+"\r\n"
				if n%slowEvery == 0 {
					path = "/slow?d=40ms"
				}
				return path, head
			},
			Seen: func(s harness.Sample) {
				if s.Err == nil {
					j.answered(kind)
					return
				}
				id := id(s.Client, s.Number)
				j.lose(loss{Sample: s, kind: kind, id: id, seen: seen(id, s.Local)})
			},
		}.Start(context.Background())
	}
	return []*harness.Running{start("each", false), start("kept", true)}
}
