package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// requestTimeout is when a client gives up, and counts a failure.
const requestTimeout = 5 * time.Second

// maxBody is what a client reads of an answer; the greeting is shorter.
const maxBody = 64 << 10

// client sends one request at a time and never tries again: what goes wrong
// is an error, also on a kept connection that the server closed.
type client struct {
	addr  string
	keep  bool // the connection, from one request to the next
	look  bool // whether the server has closed it meanwhile, as net/http's client does
	dials int

	conn net.Conn
	in   *bufio.Reader
}

// get sends one request and returns the body of its answer, which is valid
// until the next one.
func (c *client) get() ([]byte, error) {
	if c.look && c.ended() {
		_ = c.close() // it has ended already
	}
	if c.conn == nil {
		if err := c.dial(); err != nil {
			return nil, err
		}
	}
	body, closes, err := c.exchange()
	if err != nil || closes || !c.keep {
		err = errors.Join(err, c.close())
	}
	return body, err
}

func (c *client) dial() error {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	c.dials++
	c.conn = conn
	if c.in == nil {
		c.in = bufio.NewReader(conn)
	}
	c.in.Reset(conn)
	return nil
}

func (c *client) close() error {
	if c.conn == nil {
		return nil
	}
	conn := c.conn
	c.conn = nil
	return conn.Close()
}

// ended tells whether the server has closed the kept connection. It takes
// nothing from it.
func (c *client) ended() bool {
	if c.conn == nil {
		return false
	}
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

func (c *client) exchange() (body []byte, closes bool, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return nil, false, err
	}
	request := "GET / HTTP/1.1\r\nHost: bench\r\n\r\n"
	if !c.keep {
		request = "GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
	}
	if _, err := io.WriteString(c.conn, request); err != nil {
		return nil, false, fmt.Errorf("send: %w", err)
	}
	body, closes, err = readAnswer(c.in)
	if err != nil {
		return nil, false, fmt.Errorf("receive: %w", err)
	}
	return body, closes, nil
}

// readAnswer reads an answer of HTTP/1.1 with a Content-Length, which is what
// the greeting has: it is much cheaper than net/http, which would take the
// processors from what is measured. closes tells that the server announced the
// end of the connection (RFC 9112 §9.6).
func readAnswer(in *bufio.Reader) (body []byte, closes bool, err error) {
	status, err := in.ReadSlice('\n')
	if err != nil {
		return nil, false, err
	}
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 200 ")) {
		return nil, false, fmt.Errorf("status line %q", status)
	}
	length := -1
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return nil, false, unexpected(err)
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 || length > maxBody {
				return nil, false, fmt.Errorf("header line %q", line)
			}
		case bytes.EqualFold(name, []byte("Connection")):
			closes = bytes.EqualFold(value, []byte("close"))
		}
	}
	if length < 0 {
		return nil, false, errors.New("answer without Content-Length")
	}
	body = make([]byte, length)
	if _, err := io.ReadFull(in, body); err != nil {
		return nil, false, unexpected(err)
	}
	return body, closes, nil
}

// unexpected is err of a connection that ended inside an answer.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
