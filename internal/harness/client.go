package harness

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Client sends one request at a time and never one again: what goes wrong is a
// failure, also on a kept connection that the server has closed.
type Client struct {
	Address string
	Keep    bool          // its connection, from one request to the next
	Look    bool          // whether the server has closed a kept connection, before it uses that
	Rest    time.Duration // a connection that has been idle for longer is not used again; 0: it is
	Timeout time.Duration // of a request; 0: 15 s
	Want    string        // what a good answer begins with
	Dials   int

	conn   net.Conn
	in     *bufio.Reader
	local  string
	dialed time.Time
	rested time.Time // since the last answer
	last   string    // answer on this connection
}

// Sample is a request and what came of it.
type Sample struct {
	Client, Number           int  // of a [Load]: which client, which of its requests
	Fresh                    bool // the first of its connection
	Closed                   bool // its connection is not used again
	Local                    string
	Due, Dialed, Sent, Ended time.Time
	Body                     string
	Before                   string // the last answer on the same connection
	Phase                    int32  // see [Load]
	Err                      error
}

// Get makes a request and reads the whole answer, which has to be a good one. head
// are further lines of the request, each with its end.
func (c *Client) Get(path, head string) Sample {
	if c.conn != nil && (c.Look && c.ended() || c.Rest > 0 && time.Since(c.rested) > c.Rest) {
		c.Close()
	}
	s := Sample{Fresh: c.conn == nil, Before: c.last}
	answer, err := c.Ask(http.MethodGet, path, head)
	s.Local, s.Dialed, s.Sent, s.Ended, s.Body, s.Err = c.local, c.dialed, c.rested, time.Now(), string(answer.Body), err
	if err == nil && (answer.Status != http.StatusOK || !strings.HasPrefix(s.Body, c.Want)) {
		s.Err = fmt.Errorf("answer %d %q", answer.Status, s.Body)
		c.Close()
	}
	if s.Closed = c.conn == nil; !s.Closed {
		c.rested, c.last = s.Ended, s.Body
	}
	return s
}

// Ask makes a request of any kind and reads the whole answer. The connection is
// closed after a failure, and after an answer that is its last.
func (c *Client) Ask(method, path, head string) (a Answer, err error) {
	defer func() {
		if err != nil || a.Closes || !c.Keep {
			c.Close()
		}
	}()
	if c.conn == nil {
		if err := c.dial(); err != nil {
			return a, err
		}
	}
	c.rested = time.Now()
	if err := c.conn.SetDeadline(c.rested.Add(c.timeout())); err != nil {
		return a, err
	}
	if method != http.MethodGet {
		head += "Content-Length: 0\r\n"
	}
	wish := "keep-alive"
	if !c.Keep {
		wish = "close"
	}
	request := method + " " + path + " HTTP/1.1\r\nHost: " + c.Address + "\r\nConnection: " + wish + "\r\n" + head + "\r\n"
	if _, err := io.WriteString(c.conn, request); err != nil {
		return a, fmt.Errorf("send: %w", err)
	}
	if a, err = readAnswer(c.in); err != nil {
		return a, fmt.Errorf("read the answer: %w", err)
	}
	return a, nil
}

func (c *Client) timeout() time.Duration { return cmp.Or(c.Timeout, 15*time.Second) }

func (c *Client) dial() error {
	c.local, c.dialed, c.last = "", time.Now(), ""
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout())
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.Address)
	if err != nil {
		return err
	}
	c.Dials++
	c.conn, c.local = conn, conn.LocalAddr().String()
	if c.in == nil {
		c.in = bufio.NewReader(conn)
	}
	c.in.Reset(conn)
	return nil
}

// Open reports whether it has a connection.
func (c *Client) Open() bool { return c.conn != nil }

// Close ends its connection, if there is one.
func (c *Client) Close() {
	if c.conn != nil {
		_ = c.conn.Close() // it is of no use any more
		c.conn, c.last = nil, ""
	}
}

// ended reports whether the server has closed the kept connection. It takes
// nothing from it.
func (c *Client) ended() bool {
	raw, err := c.conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return true
	}
	var n int
	var got error
	err = raw.Read(func(fd uintptr) bool {
		n, _, got = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return true
	})
	return err != nil || n == 0 && got == nil || got != nil && !errors.Is(got, unix.EAGAIN)
}
