package handover

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestTrace: what is known of the unparsed bytes, step by step.
func TestTrace(t *testing.T) {
	idle := func(tr *trace) { tr.to(busy); tr.to(answered); tr.deadline() }
	for name, test := range map[string]struct {
		do      func(*trace)
		movable bool
		want    string
	}{
		"new":                    {func(*trace) {}, true, ""},
		"a new one with bytes":   {func(tr *trace) { tr.got([]byte("GE")); tr.got([]byte("T /")) }, true, "GET /"},
		"busy":                   {func(tr *trace) { tr.got([]byte("GET /")); tr.to(busy) }, false, ""},
		"answered":               {func(tr *trace) { tr.to(busy); tr.to(answered) }, false, ""},
		"idle":                   {func(tr *trace) { idle(tr); tr.reads(4096) }, true, ""},
		"read in the background": {func(tr *trace) { tr.to(busy); tr.got([]byte("G")); tr.to(answered); tr.deadline(); tr.reads(4095) }, true, "G"},
		"two bytes too many":     {func(tr *trace) { tr.got([]byte("body12")); idle(tr); tr.reads(4094) }, true, "12"},
		"and more of it": {func(tr *trace) {
			tr.got([]byte("body12"))
			idle(tr)
			tr.reads(4094)
			tr.got([]byte("3456"))
			tr.deadline()
		}, true, "123456"},
		"a piece in the buffer":   {func(tr *trace) { tr.got([]byte("body1234")); idle(tr); tr.deadline(); tr.reads(4095) }, false, ""},
		"more than was read":      {func(tr *trace) { tr.got([]byte("1")); idle(tr); tr.reads(4094) }, false, ""},
		"another buffer":          {func(tr *trace) { idle(tr); tr.reads(8192) }, false, ""},
		"a smaller buffer":        {func(tr *trace) { idle(tr); tr.reads(2048) }, false, ""},
		"no deadline":             {func(tr *trace) { tr.to(busy); tr.to(answered); tr.reads(4096) }, false, ""},
		"unsure, then idle again": {func(tr *trace) { idle(tr); tr.reads(1); idle(tr); tr.reads(4096) }, true, ""},
		"HTTP/2": {func(tr *trace) {
			tr.h2c = true
			tr.got([]byte(preface[:14]))
			tr.got([]byte(preface[14:]))
			tr.to(busy)
			idle(tr)
			tr.reads(4096)
		}, false, ""},
		"half of HTTP/2's preface": {func(tr *trace) { tr.h2c = true; tr.got([]byte(preface[:14])) }, true, preface[:14]},
		"hijacked":                 {func(tr *trace) { tr.to(busy); tr.stop(); idle(tr); tr.reads(4096) }, false, ""},
		"a long request":           {func(tr *trace) { tr.got(make([]byte, maxUnparsed+1)) }, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var tr trace
			tr.begin()
			test.do(&tr)
			if tr.movable() != test.movable {
				t.Errorf("movable: %t, want %t", tr.movable(), test.movable)
			}
			if d := cmp.Diff(test.want, string(tr.unparsed)); d != "" {
				t.Errorf("unparsed (-want +got):\n%s", d)
			}
		})
	}
}

// TestServerReads is what trace relies on: it fails when a release of Go
// changes how net/http reads from a connection.
func TestServerReads(t *testing.T) {
	const (
		whole = "GET / HTTP/1.1\r\nHost: test\r\n\r\n"
		post  = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc"
	)
	for name, test := range map[string]struct {
		before, during, after string // the answer to a request, and what comes after it
		movable               bool
		want                  string
	}{
		"nothing more":           {whole, "", "", true, ""},
		"a body":                 {post, "", "", true, ""},
		"a beginning":            {whole, "", "GET / HT", true, "GET / HT"},
		"two bytes with it":      {whole + "GE", "", "", true, "GE"},
		"behind a body":          {post + "GE", "", "T /x", true, "GET /x"},
		"in the background":      {whole, "G", "", true, "G"},
		"more in the background": {whole, "GET / HTTP", "", true, "GET / HTTP"},
		"a line with it":         {whole + "GET / HTTP/1.1\r\nHo", "", "", false, ""},
		"four bytes with it":     {whole + "GET ", "", "", false, ""},
		"two requests":           {whole + whole, "", "GE", true, "GE"},
	} {
		t.Run(name, func(t *testing.T) {
			l := listen(t)
			ours := client(t, l)
			begun, release := make(chan struct{}, 2), make(chan struct{})
			c, over := serveOne(t, l, func() { begun <- struct{}{}; <-release })
			_, err := io.WriteString(ours, test.before)
			must(t, err)
			within(t, begun)
			_, err = io.WriteString(ours, test.during)
			must(t, err)
			close(release)
			_, err = io.WriteString(ours, test.after)
			must(t, err)
			if movable := c.settled(t, test.want); movable != test.movable {
				t.Errorf("movable: %t, want %t", movable, test.movable)
			}
			must(t, ours.Close())
			within(t, over)
		})
	}
}

// settled waits until the server reads and has seen what was sent.
func (c *conn) settled(t *testing.T, want string) bool {
	for end := time.Now().Add(soon); time.Now().Before(end); time.Sleep(time.Millisecond) {
		c.mu.Lock()
		reading, round, got := c.reading, c.trace.round, string(c.trace.unparsed)
		c.mu.Unlock()
		if reading && (round == unsure || round == waiting && got == want) {
			return round == waiting
		}
	}
	t.Fatalf("round %d, unparsed %q, want %q", c.trace.round, c.trace.unparsed, want)
	return false
}

// serveOne lets a server serve the next connection of a listener.
func serveOne(t *testing.T, l *Listener, handle func()) (*conn, <-chan struct{}) {
	t.Helper()
	accepted := make(chan *conn, 1)
	over := make(chan struct{})
	srv := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		handle()
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(rw, "%s %s", r.URL.Path, body)
	}), ConnState: func(nc net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			accepted <- nc.(*conn)
		case http.StateClosed:
			close(over)
		}
	}}
	all := New(context.Background(), func(do func()) { go do() })
	s := all.NewServer(srv, l)
	served := s.Start(l)
	t.Cleanup(func() {
		_ = srv.Close()
		<-served
		s.Stop()
	})
	return <-accepted, over
}
