package main

import (
	"bufio"
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
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
	for _, bad := range []string{
		"", "\n", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
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
	f.Fuzz(func(t *testing.T, text string) {
		body, _, err := readAnswer(bufio.NewReader(strings.NewReader(text)))
		if len(body) > maxBody || (err == nil && !strings.Contains(text, string(body))) {
			t.Errorf("%d bytes, %v", len(body), err)
		}
	})
}

// count sends requests until the server has had n.
func count(t *testing.T, keep bool, n int32, h http.HandlerFunc) outcome {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var seen atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if seen.Add(1) == n {
			cancel()
		}
		h(rw, r)
	}))
	defer srv.Close()
	var phase atomic.Int32
	phase.Store(4)
	o := load{addr: srv.Listener.Addr().String(), keep: keep}.run(ctx, &phase)
	if o.asked != int(seen.Load()) {
		t.Errorf("asked %d, the server saw %d", o.asked, seen.Load())
	}
	return o
}

func TestLoadCountsWhatItSaw(t *testing.T) {
	greet := func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "hello") }
	kept := count(t, true, 500, greet)
	if kept.failed() != 0 || kept.dials > clients || len(kept.took[4]) != kept.asked {
		t.Errorf("kept: %d failed, %d dials, %d of %d in the phase", kept.failed(), kept.dials, len(kept.took[4]), kept.asked)
	}
	each := count(t, false, 500, greet)
	if each.failed() != 0 || each.dials != each.asked {
		t.Errorf("one each: %d failed, %d dials of %d", each.failed(), each.dials, each.asked)
	}
}

func TestLoadCountsEachFailureOnce(t *testing.T) {
	o := count(t, true, 200, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if o.failed() != o.asked {
		t.Errorf("%d of %d failed: %v", o.failed(), o.asked, o.failures)
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
	c := &client{addr: ln.Addr().String(), keep: true}
	if _, err := c.get(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, err := c.get(); err == nil || c.dials != 1 {
		t.Errorf("err %v after %d dials", err, c.dials)
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
	c := &client{addr: ln.Addr().String(), keep: true, look: true}
	for want := 1; want <= 2; want++ {
		go func() { done <- answerOnce(ln) }()
		if _, err := c.get(); err != nil || c.dials != want {
			t.Fatalf("err %v after %d dials, want %d", err, c.dials, want)
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

func TestFewRequestsDecideNothingButAFailure(t *testing.T) {
	for _, tt := range []struct {
		failed, asked int
		want          verdict
	}{{0, enough - 1, tooFew}, {0, enough, reached}, {1, 2, missed}, {1, enough, missed}} {
		if got := judgeFailures(tt.failed, tt.asked); got != tt.want {
			t.Errorf("judgeFailures(%d, %d) = %q, want %q", tt.failed, tt.asked, got, tt.want)
		}
	}
}

func TestOutcomesAdd(t *testing.T) {
	a := outcome{asked: 1, dials: 1, failures: map[string]int{"x": 1}, took: map[int32][]float64{0: {1}}}
	a.merge(outcome{asked: 2, dials: 3, failures: map[string]int{"x": 1, "y": 2}, took: map[int32][]float64{0: {2}, 1: {3}}})
	if a.asked != 3 || a.dials != 4 || !maps.Equal(a.failures, map[string]int{"x": 2, "y": 2}) || !slices.Equal(a.took[0], []float64{1, 2}) {
		t.Errorf("%+v", a)
	}
}
