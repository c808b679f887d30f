package harness

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

func TestReadAnswer(t *testing.T) {
	body, closes, err := answer("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nconnection: Close\r\n\r\nabc")
	if err != nil || body != "abc" || !closes {
		t.Errorf("%q, %v, %v", body, closes, err)
	}
	body, closes, err = answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nabc")
	if err != nil || body != "ab" || closes {
		t.Errorf("%q, %v, %v", body, closes, err)
	}
	body, _, err = answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n")
	if err != nil || body != "abcd" {
		t.Errorf("in chunks: %q, %v", body, err)
	}
	if a, err := readAnswer(bufio.NewReader(strings.NewReader("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"))); err != nil || a.Status != 503 {
		t.Errorf("%+v, %v", a, err)
	}
	for _, bad := range []string{
		"", "\n", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 xyz\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 1", "HTTP/1.1 100 Continue\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 5000) + "\r\nContent-Length: 0\r\n\r\n",
	} {
		if body, _, err := answer(bad); err == nil {
			t.Errorf("%q was taken for an answer: %q", bad, body)
		}
	}
}

// A connection that ends before an answer is what a client must not overlook.
func TestEndBeforeAnAnswerIsAFailure(t *testing.T) {
	if _, _, err := answer(""); err != io.EOF {
		t.Errorf("err = %v", err)
	}
	if _, _, err := answer("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"); err != io.ErrUnexpectedEOF {
		t.Errorf("err = %v", err)
	}
}

func FuzzReadAnswer(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 00000000000000000000001\r\n\r\na")
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := readAnswer(bufio.NewReader(strings.NewReader(text)))
		chunked := strings.Contains(strings.ToLower(text), "chunked")
		if len(a.Body) > maxBody || (err == nil && !chunked && !strings.Contains(text, string(a.Body))) {
			t.Errorf("%d bytes, %v", len(a.Body), err)
		}
	})
}

// count sends requests until the server has had n.
func count(t *testing.T, keep bool, n int32, h http.HandlerFunc) Result {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var seen, phase atomic.Int32
	phase.Store(4)
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if seen.Add(1) == n {
			cancel()
		}
		h(rw, r)
	}))
	defer srv.Close()
	inPhase := 0
	r := Load{Client: Client{Address: srv.Listener.Addr().String(), Keep: keep}, Clients: 32, Phase: &phase, Seen: func(s Sample) {
		if s.Phase == 4 {
			inPhase++
		}
	}}.Start(ctx).Wait()
	if r.Requests != int(seen.Load()) || inPhase != r.Requests {
		t.Errorf("asked %d, %d in the phase, the server saw %d", r.Requests, inPhase, seen.Load())
	}
	return r
}

func TestLoadCountsWhatItSaw(t *testing.T) {
	hello := func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "hello") }
	if kept := count(t, true, 500, hello); kept.Failed != 0 || kept.Connections > 32 {
		t.Errorf("kept: %+v", kept)
	}
	if each := count(t, false, 500, hello); each.Failed != 0 || each.Connections != each.Requests {
		t.Errorf("one each: %+v", each)
	}
}

func TestLoadCountsEachFailureOnce(t *testing.T) {
	r := count(t, true, 200, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if r.Failed != r.Requests {
		t.Errorf("%+v", r)
	}
}

// A server that closes a kept connection without a word makes the next request
// on it fail: no second try hides it.
func TestClientNeverTriesAgain(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := make(chan error, 1)
	go func() { done <- answerOnce(ln) }()
	c := &Client{Address: ln.Addr().String(), Keep: true}
	if s := c.Get("/", ""); s.Err != nil {
		t.Fatal(s.Err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if s := c.Get("/", ""); s.Err == nil || c.Dials != 1 {
		t.Errorf("err %v after %d dials", s.Err, c.Dials)
	}
}

// A client that looks, as most do, sees a connection that has been closed
// before it uses it, and counts a dial instead of a failure. What it has not
// read yet is still there.
func TestClientLooksBeforeItAsks(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := make(chan error, 2)
	c := &Client{Address: ln.Addr().String(), Keep: true, Look: true}
	for want := 1; want <= 2; want++ {
		go func() { done <- answerOnce(ln) }()
		if s := c.Get("/", ""); s.Err != nil || c.Dials != want {
			t.Fatalf("err %v after %d dials, want %d", s.Err, c.Dials, want)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

func answerOnce(ln net.Listener) error {
	conn, err := ln.Accept()
	if err != nil {
		return err
	}
	if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil {
		return err
	}
	return conn.Close()
}

func TestARequestThatAReloadTouchedIsNotSteady(t *testing.T) {
	for _, tt := range []struct{ was, is, want int32 }{{0, 0, 0}, {0, 1, 1}, {1, 2, 1}, {2, 2, 2}, {1, 1, 1}} {
		if got := later(tt.was, tt.is); got != tt.want {
			t.Errorf("later(%d, %d) = %d, want %d", tt.was, tt.is, got, tt.want)
		}
	}
}

func answer(text string) (body string, closes bool, err error) {
	a, err := readAnswer(bufio.NewReader(strings.NewReader(text)))
	return string(a.Body), a.Closes, err
}
