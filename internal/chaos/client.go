package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Of the clients.
const (
	clientsOfAKind = 12
	// requestTimeout leaves time for the worst that may be asked of a request:
	// its connection waits in the queue of a slot whose worker is stopped, while
	// the primary is dead.
	requestTimeout = 75 * time.Second
	// restTimeout is how long a client keeps an idle connection. A server may
	// close one that rests, and a request that crosses with that is nobody's
	// fault (RFC 9112 §9.6); the cluster's lame duck is twice as long.
	restTimeout = time.Second
	slowEvery   = 8 // requests of a client: one of them takes a while
)

// loss is a request that was not answered.
type loss struct {
	kind, id, local      string // local: the client's address, if it was connected
	fresh                bool   // the first of its connection
	dialed, sent, failed time.Time
	err                  error
	seen                 []string // lines of the access log on it
}

func (l loss) String() string {
	return fmt.Sprintf("%s %s from %s (first of its connection: %t), connected %s, sent %s, failed %s: %v\n    %s",
		l.kind, l.id, l.local, l.fresh, stamp(l.dialed), stamp(l.sent), stamp(l.failed), l.err, strings.Join(l.seen, "\n    "))
}

// crowd is all clients.
type crowd struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// newCrowd starts clients of both kinds: one connection for each request, and
// one for many.
func newCrowd(address string, rate int, j *journal, seen func(id, remote string) []string) *crowd {
	c := &crowd{}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	for i := range clientsOfAKind {
		for _, kind := range []string{"each", "kept"} {
			one := &client{kind: kind, number: i, address: address, journal: j, seen: seen}
			c.wg.Go(func() { one.run(ctx, clientsOfAKind*time.Second/time.Duration(rate)) })
		}
	}
	return c
}

// stop lets every client finish its request.
func (c *crowd) stop() {
	c.cancel()
	c.wg.Wait()
}

// client sends one request at a time and never one again.
type client struct {
	kind    string
	number  int
	address string
	journal *journal
	seen    func(id, remote string) []string

	sequence int
	conn     net.Conn
	in       *bufio.Reader
	dialed   time.Time
	rested   time.Time // since the last answer
}

func (c *client) run(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	defer c.close()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.request()
	}
}

// request makes one. A connection that has rested too long is not used again.
func (c *client) request() {
	if c.conn != nil && time.Since(c.rested) > restTimeout {
		c.close()
	}
	c.sequence++
	l := loss{kind: c.kind, id: fmt.Sprintf("%s-%d-%d", c.kind, c.number, c.sequence), fresh: c.conn == nil}
	again, err := c.exchange(&l)
	if err == nil {
		c.rested = time.Now()
		c.journal.answered(c.kind)
	} else {
		l.failed, l.err, l.seen = time.Now(), err, c.seen(l.id, l.local)
		c.journal.lose(l)
	}
	if err != nil || !again {
		c.close()
	}
}

func (c *client) exchange(l *loss) (again bool, err error) {
	if c.conn == nil {
		if err := c.dial(); err != nil {
			l.dialed = c.dialed
			return false, err
		}
	}
	l.local, l.dialed, l.sent = c.conn.LocalAddr().String(), c.dialed, time.Now()
	if err := c.conn.SetDeadline(l.sent.Add(requestTimeout)); err != nil {
		return false, err
	}
	path, wish := "/", "keep-alive"
	if c.sequence%slowEvery == 0 {
		path = "/slow?d=40ms"
	}
	if c.kind == "each" {
		wish = "close"
	}
	if _, err := fmt.Fprintf(c.conn, "GET %s HTTP/1.1\r\nHost: chaos\r\nX-Request-Id: %s\r\nConnection: %s\r\n\r\n", path, l.id, wish); err != nil {
		return false, fmt.Errorf("send: %w", err)
	}
	return c.receive()
}

func (c *client) dial() error {
	c.dialed = time.Now()
	conn, err := net.DialTimeout("tcp", c.address, requestTimeout)
	if err != nil {
		return err
	}
	c.conn, c.in = conn, bufio.NewReader(conn)
	return nil
}

func (c *client) receive() (again bool, err error) {
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return false, fmt.Errorf("receive: %w", err)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return false, fmt.Errorf("receive the body: %w", err)
	}
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(string(body), "hello from web/") {
		return false, fmt.Errorf("answer %s %q", resp.Status, body)
	}
	return !resp.Close, nil
}

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close() // it is of no use any more
		c.conn = nil
	}
}
