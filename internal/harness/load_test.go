package harness

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
		want   Result
	}{
		{"all is well", false, greet, Result{Requests: 10, Connections: 10, Closed: 10}},
		{"kept connection", true, greet, Result{Requests: 10, Connections: 1}},
		{"status 500", true, func(n int64, rw http.ResponseWriter) {
			if n == 3 {
				rw.WriteHeader(http.StatusInternalServerError)
			}
			greet(n, rw)
		}, Result{Requests: 10, Failed: 1, Connections: 2, Closed: 1}},
		{"closed without an answer", true, func(n int64, rw http.ResponseWriter) {
			if n == 5 {
				panic(http.ErrAbortHandler)
			}
			greet(n, rw)
		}, Result{Requests: 10, Failed: 1, Connections: 2, Closed: 1}},
		{"cut in the body", false, func(n int64, rw http.ResponseWriter) {
			rw.Header().Set("Content-Length", "1000")
			greet(n, rw)
		}, Result{Requests: 10, Failed: 10, Connections: 10, Closed: 10}},
		{"the last answer of a connection", true, func(n int64, rw http.ResponseWriter) {
			rw.Header().Set("Connection", "close")
			greet(n, rw)
		}, Result{Requests: 10, Connections: 10, Closed: 10}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var seen atomic.Int64
			address := serveTest(t, func(rw http.ResponseWriter, _ *http.Request) { tt.answer(seen.Add(1), rw) })
			got := Load{Client: Client{Address: address, Keep: tt.keep}, Clients: 1, Rate: 1000, Count: 10, Limit: time.Minute}.Start(t.Context()).Wait()
			got.Causes = nil
			if diff := cmp.Diff(tt.want, got); diff != "" {
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
	c := Load{Client: Client{Address: ln.Addr().String()}, Clients: 3, Rate: 1000, Count: 9, Limit: time.Minute}.Start(t.Context())
	if got := c.Wait(); got.Requests != 9 || got.Failed != 9 || len(got.Causes) != keptCauses {
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
	got := Load{Client: Client{Address: address}, Clients: 6, Streams: 3, Rate: 1000, Count: 60, Limit: time.Minute}.Start(t.Context()).Wait()
	if n := seen.Load(); got.Requests != 60 || n > 60 || n < 50 {
		t.Errorf("%+v, the server saw %d requests", got, n)
	}
	if got.Connections < 3 || got.Connections > 4 || got.Failed < 1 || most.Load() < 4 {
		t.Errorf("%+v, at most %d at once; want 2 connections, and one in the place of that which was ended, 1 that failed, and what the GOAWAY crossed", got, most.Load())
	}
	got = Load{
		Client: Client{Address: address}, Clients: 2, Streams: 2, Rate: 1000, Count: 10, Limit: time.Minute,
		Path: func(client, _ int) (string, string) { return []string{"/", "/fails"}[client], "" },
	}.Start(t.Context()).Wait()
	if got.Connections != 1 || got.Failed < 3 || got.Failed > 7 {
		t.Errorf("every other one fails: %+v", got)
	}
}
