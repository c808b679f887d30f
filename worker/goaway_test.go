package worker

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

// Types and flags of HTTP/2 frames (RFC 9113 §6).
const (
	frameData, frameHeaders, frameSettings, framePing, frameGoAway = 0, 1, 4, 6, 7
	endStream, endHeaders                                          = 1, 4
	preface                                                        = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" // RFC 9113 §3.4
)

func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	return append(binary.BigEndian.AppendUint32(append(head, flags), stream), payload...)
}

// ways are how HTTP/2 is spoken to a worker.
var ways = map[string]struct {
	serve  func(*http.Server) Run
	within func(net.Conn) net.Conn
}{
	"without TLS": {servingStreams, func(c net.Conn) net.Conn { return c }},
	"within TLS": {servingSecured, func(c net.Conn) net.Conn {
		return tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	}},
}

func servingStreams(srv *http.Server) Run {
	srv.Protocols = new(http.Protocols)
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	return serving(srv)
}

func servingSecured(srv *http.Server) Run {
	some := httptest.NewTLSServer(nil)
	some.Close()
	return func(ctx context.Context, w *Worker) error {
		ln, err := w.Listener("web")
		if err != nil {
			return err
		}
		return w.ServeHTTP(ctx, srv, tls.NewListener(ln, &tls.Config{Certificates: some.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}}))
	}
}

// streamsClient speaks HTTP/2 frame by frame, for it does what no client
// should.
type streamsClient struct {
	t     *testing.T
	conn  net.Conn
	in    *bufio.Reader
	goes  []uint32 // last streams of the GOAWAYs that came
	pings [][]byte // not answered
}

func newStreamsClient(t *testing.T, s *inherit.Group, within func(net.Conn) net.Conn) *streamsClient {
	t.Helper()
	conn, _ := client(t, s)
	conn = within(conn)
	_, err := conn.Write(append([]byte(preface), frame(frameSettings, 0, 0, nil)...))
	must(t, err)
	return &streamsClient{t: t, conn: conn, in: bufio.NewReader(conn)}
}

// ask sends GET http://test/ (RFC 7541 §6.1, §6.2.1).
func (c *streamsClient) ask(stream uint32) {
	c.t.Helper()
	_, err := c.conn.Write(frame(frameHeaders, endStream|endHeaders, stream, append([]byte{0x82, 0x84, 0x86, 0x41, 4}, "test"...)))
	must(c.t, err)
}

// next reads a frame and keeps what a GOAWAY says.
func (c *streamsClient) next() (kind, flags byte, stream uint32, payload []byte, err error) {
	var head [9]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return 0, 0, 0, nil, err
	}
	payload = make([]byte, binary.BigEndian.Uint32(head[:])>>8)
	_, err = io.ReadFull(c.in, payload)
	if head[3] == frameGoAway && err == nil {
		c.goes = append(c.goes, binary.BigEndian.Uint32(payload))
	}
	if head[3] == framePing && err == nil {
		c.pings = append(c.pings, payload)
	}
	return head[3], head[4], binary.BigEndian.Uint32(head[5:]), payload, err
}

// answered reads up to the end of an answer.
func (c *streamsClient) answered(stream uint32) {
	c.t.Helper()
	var body []byte
	for {
		kind, flags, on, payload, err := c.next()
		must(c.t, err)
		if kind == frameData && on == stream {
			body = append(body, payload...)
		}
		if on == stream && flags&endStream != 0 && (kind == frameData || kind == frameHeaders) {
			break
		}
	}
	if string(body) != "hello" {
		c.t.Errorf("the answer of stream %d is %q", stream, body)
	}
}

// until reads frames until it is so.
func (c *streamsClient) until(so func() bool) {
	c.t.Helper()
	for !so() {
		_, _, _, _, err := c.next()
		must(c.t, err)
	}
}

// end reads to the end of the connection, and compares the GOAWAYs that came.
func (c *streamsClient) end(want ...uint32) {
	c.t.Helper()
	for {
		if _, _, _, _, err := c.next(); err != nil {
			if !errors.Is(err, io.EOF) {
				c.t.Errorf("at the end: %v", err)
			}
			break
		}
	}
	if !slices.Equal(c.goes, want) {
		c.t.Errorf("the last streams of the GOAWAYs are %v, want %v", c.goes, want)
	}
}

const maxStream = 1<<31 - 1

// TestGoAway: a request of HTTP/2 that was on its way when the drain began is
// answered; the last GOAWAY tells which one was the last.
func TestGoAway(t *testing.T) {
	for name, way := range ways {
		for _, linger := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, linger %t", name, linger), func(t *testing.T) {
				s := socket(t)
				w := newPrimary(t).start(way.serve(&http.Server{Handler: http.HandlerFunc(answer)}), s)
				w.await(ipc.TypeReady)
				c := newStreamsClient(t, s, way.within)
				c.ask(1)
				c.answered(1)
				w.send(ipc.TypeDrain, ipc.Drain{Linger: linger, LameDuck: time.Second, Deadline: soon})
				c.until(func() bool { return len(c.goes) > 0 })
				c.ask(3) // before it answers the PING, or never
				c.answered(3)
				c.ask(5)
				c.answered(5)
				c.end(maxStream, 5)
				if d := w.drained(); d != (ipc.Drained{Told: 1}) {
					t.Errorf("drained %+v", d)
				}
			})
		}
	}
}

// TestGoAwayAnswered: the last GOAWAY comes when the client has answered the
// PING, however long the lame duck; what was on its way before is answered.
func TestGoAwayAnswered(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			begun, release := make(chan struct{}, 2), make(chan struct{})
			s := socket(t)
			w := newPrimary(t).start(way.serve(&http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				begun <- struct{}{}
				<-release
				answer(rw, r)
			})}), s)
			w.await(ipc.TypeReady)
			c := newStreamsClient(t, s, way.within)
			c.ask(1)
			within(t, begun) // it has been accepted
			w.send(ipc.TypeDrain, ipc.Drain{LameDuck: 3 * soon, Deadline: 4 * soon})
			c.until(func() bool { return len(c.pings) > 0 })
			c.ask(3)
			_, err := c.conn.Write(frame(framePing, 1, 0, c.pings[0]))
			must(t, err)
			c.until(func() bool { return len(c.goes) > 1 })
			close(release)
			answers := map[uint32]bool{1: true, 3: true}
			for len(answers) > 0 {
				kind, flags, on, _, err := c.next()
				must(t, err)
				if kind <= frameHeaders && flags&endStream != 0 {
					delete(answers, on)
				}
			}
			c.end(maxStream, 3)
		})
	}
}

// TestGoAwayLate: a client that connects while the worker drains and still
// listens has its first request answered, and is told to go.
func TestGoAwayLate(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			s := socket(t)
			w := newPrimary(t).start(way.serve(&http.Server{Handler: http.HandlerFunc(answer)}), s)
			w.await(ipc.TypeReady)
			early := newStreamsClient(t, s, way.within)
			early.ask(1)
			early.answered(1)
			w.send(ipc.TypeDrain, ipc.Drain{Linger: true, LameDuck: 3 * soon, Deadline: 4 * soon})
			early.until(func() bool { return len(early.goes) > 0 })
			c := newStreamsClient(t, s, way.within)
			c.ask(1)
			c.answered(1)
			c.until(func() bool { return len(c.pings) > 0 })
			_, err := c.conn.Write(frame(framePing, 1, 0, c.pings[0]))
			must(t, err)
			c.end(maxStream, 1)
			w.send(ipc.TypeDrain, ipc.Drain{Final: true, Deadline: time.Millisecond}) // no longer a lame duck
		})
	}
}
