package worker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"

	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

// Types and flags of HTTP/2 frames (RFC 9113 §6).
const (
	frameData, frameHeaders, frameSettings, frameGoAway = 0, 1, 4, 7
	endStream, endHeaders                               = 1, 4
)

func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	return append(binary.BigEndian.AppendUint32(append(head, flags), stream), payload...)
}

// TestFramesGoAway: whatever pieces the server writes its frames in, ours comes
// once, behind a whole frame, and nothing else is changed.
func TestFramesGoAway(t *testing.T) {
	var all []byte
	ends := map[int]bool{}
	for range 20 {
		all = append(all, frame(frameData, 0, 1, make([]byte, rand.IntN(3)*rand.IntN(40)))...)
		ends[len(all)] = true
	}
	first := len(frame(frameData, 0, 1, nil))
	for range 500 {
		var f frames
		var got bytes.Buffer
		wanted := rand.IntN(len(all))
		for at := 0; at < len(all); {
			to := min(len(all), at+1+rand.IntN(60))
			if n, err := f.write(&got, all[at:to]); err != nil || n != to-at {
				t.Fatalf("write of %d bytes: %d, %v", to-at, n, err)
			}
			if at <= wanted && wanted < to {
				f.wanted.Store(true)
				f.goAway(&got)
				f.goAway(&got)
			}
			at = to
		}
		f.goAway(&got)
		place := bytes.Index(got.Bytes(), noMoreRequests)
		rest := bytes.Replace(got.Bytes(), noMoreRequests, nil, 1)
		if !ends[place] || place < first || !bytes.Equal(rest, all) {
			t.Fatalf("wanted at %d of %d, came at %d", wanted, len(all), place)
		}
	}
}

// TestFramesNotBegun: nothing comes before the server's SETTINGS.
func TestFramesNotBegun(t *testing.T) {
	var f frames
	var got bytes.Buffer
	f.wanted.Store(true)
	f.goAway(&got)
	if got.Len() > 0 {
		t.Fatalf("%d bytes before the server has begun", got.Len())
	}
	settings := frame(frameSettings, 0, 0, nil)
	if _, err := f.write(&got, settings); err != nil || !bytes.Equal(got.Bytes(), append(settings, noMoreRequests...)) {
		t.Errorf("%v, %x", err, got.Bytes())
	}
}

// streamsClient speaks HTTP/2 frame by frame, for it does what no client
// should.
type streamsClient struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	goes []uint32 // last streams of the GOAWAYs that came
}

func newStreamsClient(t *testing.T, s *inherit.Group) *streamsClient {
	t.Helper()
	conn, in := client(t, s)
	_, err := conn.Write(append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(frameSettings, 0, 0, nil)...))
	must(t, err)
	return &streamsClient{t: t, conn: conn, in: in}
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

// TestRequestCrossesGoAway: a request of HTTP/2 that was on its way when the
// drain began is answered, and so is the one of a client that does not listen;
// the last word is which one was the last.
func TestRequestCrossesGoAway(t *testing.T) {
	both := new(http.Protocols)
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	s := socket(t)
	w := newPrimary(t).start(serving(&http.Server{Handler: http.HandlerFunc(answer), Protocols: both}), s)
	w.await(ipc.TypeReady)
	c := newStreamsClient(t, s)
	c.ask(1)
	c.answered(1)
	w.send(ipc.TypeDrain, ipc.Drain{LameDuck: soon / 10, Deadline: soon})
	for len(c.goes) == 0 {
		_, _, _, _, err := c.next()
		must(t, err)
	}
	c.ask(3)
	c.answered(3)
	c.ask(5)
	c.answered(5)
	for {
		if _, _, _, _, err := c.next(); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Errorf("at the end: %v", err)
			}
			break
		}
	}
	if len(c.goes) == 0 || c.goes[0] != 1<<31-1 {
		t.Errorf("the last streams of the GOAWAYs are %v, want %d first", c.goes, 1<<31-1)
	}
	if d := w.drained(); d.Told != 1 || d.Cut+d.Finished+d.Moved > 0 {
		t.Errorf("drained %+v", d)
	}
}
