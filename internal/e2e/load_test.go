package e2e

import (
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestClientCounts: each request counts once, whatever becomes of it, and none
// is made twice.
func TestClientCounts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		keep   bool
		answer func(n int64, rw http.ResponseWriter)
		want   result
	}{
		{"all is well", false, greet, result{requests: 10, connections: 10, closed: 10, generations: map[string]int{"7": 10}}},
		{"kept connection", true, greet, result{requests: 10, connections: 1, generations: map[string]int{"7": 10}}},
		{"status 500", true, func(n int64, rw http.ResponseWriter) {
			if n == 3 {
				rw.WriteHeader(http.StatusInternalServerError)
			}
			greet(n, rw)
		}, result{requests: 10, failed: 1, connections: 2, closed: 1, generations: map[string]int{"7": 9}}},
		{"closed without an answer", true, func(n int64, rw http.ResponseWriter) {
			if n == 5 {
				panic(http.ErrAbortHandler)
			}
			greet(n, rw)
		}, result{requests: 10, failed: 1, connections: 2, closed: 1, generations: map[string]int{"7": 9}}},
		{"cut in the body", false, func(n int64, rw http.ResponseWriter) {
			rw.Header().Set("Content-Length", "1000")
			greet(n, rw)
		}, result{requests: 10, failed: 10, connections: 10, closed: 10, generations: map[string]int{}}},
		{"the last answer of a connection", true, func(n int64, rw http.ResponseWriter) {
			rw.Header().Set("Connection", "close")
			greet(n, rw)
		}, result{requests: 10, connections: 10, closed: 10, generations: map[string]int{"7": 10}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var seen atomic.Int64
			address := serveTest(t, func(rw http.ResponseWriter, _ *http.Request) { tt.answer(seen.Add(1), rw) })
			got := newClient(pace{address: address, paths: []string{"/"}, clients: 1, rate: 1000, count: 10, limit: 20 * time.Second, keepAlive: tt.keep}).wait()
			got.causes = nil
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(result{})); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			if n := seen.Load(); n != 10 {
				t.Errorf("the server saw %d requests, want 10: none is retried", n)
			}
		})
	}
}

func TestClientRefused(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	c := newClient(pace{address: ln.Addr().String(), paths: []string{"/"}, clients: 3, rate: 1000, count: 9, limit: 20 * time.Second})
	if got := c.wait(); got.requests != 9 || got.failed != 9 || len(got.causes) != keptCauses {
		t.Errorf("result %+v, want 9 requests, all failed, %d causes", got, keptCauses)
	}
}

func greet(_ int64, rw http.ResponseWriter) { _, _ = rw.Write([]byte("hello generation=7\n")) }

// serveTest serves on a free port until the test ends.
func serveTest(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Second}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return ln.Addr().String()
}

// TestClientStreams: clients that share a connection of HTTP/2 leave it when
// the server says so, and make no request twice.
func TestClientStreams(t *testing.T) {
	var seen, open, most atomic.Int64
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	both := new(http.Protocols)
	both.SetUnencryptedHTTP2(true)
	srv := &http.Server{Protocols: both, ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		most.Store(max(most.Load(), open.Add(1)))
		defer open.Add(-1)
		switch n := seen.Add(1); {
		case r.URL.Path == "/fails":
			rw.WriteHeader(http.StatusInternalServerError)
		case n == 4: // GOAWAY
			rw.Header().Set("Connection", "close")
		case n == 8: // RST_STREAM
			panic(http.ErrAbortHandler)
		}
		time.Sleep(10 * time.Millisecond) // the others come meanwhile
		greet(0, rw)
	})}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	defer func() {
		_ = srv.Close()
		<-done
	}()
	address := ln.Addr().String()
	got := newClient(pace{address: address, paths: []string{"/"}, clients: 6, streams: 3, rate: 1000, count: 60, limit: 20 * time.Second}).wait()
	if n := seen.Load(); got.requests != 60 || n > 60 || n < 50 {
		t.Errorf("%+v, the server saw %d requests", got, n)
	}
	if got.connections < 3 || got.connections > 4 || got.failed < 1 || most.Load() < 4 {
		t.Errorf("%+v, at most %d at once; want 2 connections, and one in the place of that which was ended, 1 that failed, and what the GOAWAY crossed", got, most.Load())
	}
	got = newClient(pace{address: address, paths: []string{"/", "/fails"}, clients: 2, streams: 2, rate: 1000, count: 10, limit: 20 * time.Second}).wait()
	if got.connections != 1 || got.failed < 3 || got.failed > 7 {
		t.Errorf("every other one fails: %+v", got)
	}
}
