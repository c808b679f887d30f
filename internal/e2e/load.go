package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// pace is what a client does.
type pace struct {
	address   string
	paths     []string // the clients take them in turn
	clients   int
	streams   int           // of them share a connection of HTTP/2; 0: HTTP/1.1, a connection each
	rate      int           // requests per second of all clients together
	count     int           // requests in all; 0: until it is stopped
	limit     time.Duration // it ends by then
	keepAlive bool
	hold      bool // a connection that is closed is a failure, also one that was announced
}

// client asks for pages from several connections at once and never retries: a
// request that is not answered in full is a failure. It is not net/http's
// client, which sends a request again where it believes that it may.
type client struct {
	pace
	cancel context.CancelFunc
	ctx    context.Context // of its whole life
	shared []*streams
	wg     sync.WaitGroup

	mu     sync.Mutex // a leaf
	issued int
	result
}

// result is what came of it.
type result struct {
	requests, failed, connections int
	closed                        int // by the server, or after a failure
	generations                   map[string]int
	causes                        []string // the first few
}

const (
	requestTimeout = 15 * time.Second
	keptCauses     = 5
)

func newClient(p pace) *client {
	c := &client{pace: p, result: result{generations: make(map[string]int)}}
	c.ctx, c.cancel = context.WithTimeout(context.Background(), p.limit)
	for n := range p.clients {
		request, end := c.way(n)
		c.wg.Go(func() { c.run(request, end) })
	}
	return c
}

// way is how one of the clients makes a request and counts it; the second
// function ends what it has open.
func (c *client) way(n int) (request, end func()) {
	path := c.paths[n%len(c.paths)]
	if c.streams > 0 {
		if n%c.streams == 0 {
			c.shared = append(c.shared, newStreams(c.address))
		}
		s := c.shared[n/c.streams]
		return func() { c.share(s, path) }, func() {}
	}
	var conn *connection
	return func() { conn = c.request(conn, path) }, func() { conn.close() }
}

// wait returns what came of it once all requests have been made.
func (c *client) wait() result {
	c.wg.Wait()
	c.cancel()
	for _, s := range c.shared {
		s.close()
	}
	return c.result
}

// stopAfter lets it end as soon as n requests have been made.
func (c *client) stopAfter(n int) {
	defer c.cancel()
	_ = poll(c.ctx, func() bool { // the time is over: its result tells
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.requests >= n
	})
}

// run is one client: a request, the answer, and the next one when it is time.
func (c *client) run(request, end func()) {
	defer end()
	tick := time.NewTicker(time.Second * time.Duration(c.clients) / time.Duration(c.rate))
	defer tick.Stop()
	for c.more() {
		request()
		select {
		case <-tick.C:
		case <-c.ctx.Done():
			return
		}
	}
}

// more takes the next request off the count.
func (c *client) more() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil || c.count > 0 && c.issued >= c.count {
		return false
	}
	c.issued++
	return true
}

// request makes one and returns the connection if it may be used again.
func (c *client) request(conn *connection, path string) *connection {
	fresh, before := conn == nil, ""
	if !fresh {
		before = conn.last
	}
	body, again, err := c.exchange(&conn, path)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.note(body, fresh, before, err)
	if err == nil && again {
		conn.last = body
		return conn
	}
	c.closed++
	conn.close()
	return nil
}

// share makes one over a connection that has others under way.
func (c *client) share(s *streams, path string) {
	body, fresh, err := s.get(context.WithoutCancel(c.ctx), path)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.note(body, fresh, "", err)
}

// note counts a request and what came of it.
func (r *result) note(body string, fresh bool, before string, err error) {
	r.requests++
	if fresh {
		r.connections++
	}
	if err != nil {
		r.failed++
		if len(r.causes) < keptCauses {
			r.causes = append(r.causes, fmt.Sprintf("%v (new connection: %t, its last answer: %q)", err, fresh, before))
		}
	} else if m := generation.FindStringSubmatch(body); m != nil {
		r.generations[m[1]]++
	}
}

var generation = regexp.MustCompile(`generation=(\d+)`)

// exchange sends a request, over a new connection if there is none, and reads
// the whole answer.
func (c *client) exchange(conn **connection, path string) (body string, again bool, err error) {
	if *conn == nil {
		if *conn, err = connect(c.address); err != nil {
			return "", false, err
		}
	}
	if err := (*conn).SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return "", false, err
	}
	wish := "close"
	if c.keepAlive {
		wish = "keep-alive"
	}
	if _, err := fmt.Fprintf(*conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: %s\r\n\r\n", path, c.address, wish); err != nil {
		return "", false, fmt.Errorf("send: %w", err)
	}
	return (*conn).answer(c.keepAlive)
}

// connection is one with what has been read ahead.
type connection struct {
	net.Conn
	in   *bufio.Reader
	last string // answer on it
}

func connect(address string) (*connection, error) {
	nc, err := net.DialTimeout("tcp", address, requestTimeout)
	if err != nil {
		return nil, err
	}
	return &connection{Conn: nc, in: bufio.NewReader(nc)}, nil
}

func (c *connection) close() {
	if c != nil {
		_ = c.Close() // it is of no use any more
	}
}

func (c *connection) answer(keep bool) (body string, again bool, err error) {
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return "", false, fmt.Errorf("read the answer: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	err = errors.Join(err, resp.Body.Close())
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", resp.Status)
	}
	return string(text), keep && !resp.Close, err
}

// String is a line for the script to look at.
func (r result) String() string {
	return fmt.Sprintf("requests=%d failed=%d connections=%d closed=%d generations=%s\n", r.requests, r.failed, r.connections, r.closed,
		strings.Join(slices.Sorted(maps.Keys(r.generations)), ","))
}
