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
			got := newClient(pace{address: address, path: "/", clients: 1, rate: 1000, count: 10, limit: 20 * time.Second, keepAlive: tt.keep}).wait()
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
	c := newClient(pace{address: ln.Addr().String(), path: "/", clients: 3, rate: 1000, count: 9, limit: 20 * time.Second})
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
