package worker

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/inherit"
)

// TestTrace: what is known of the unparsed bytes, step by step.
func TestTrace(t *testing.T) {
	idle := func(tr *trace) { tr.active(); tr.idle(); tr.deadline() }
	for name, test := range map[string]struct {
		do      func(*trace)
		movable bool
		want    string
	}{
		"new":                    {func(*trace) {}, true, ""},
		"a new one with bytes":   {func(tr *trace) { tr.got([]byte("GE")); tr.got([]byte("T /")) }, true, "GET /"},
		"busy":                   {func(tr *trace) { tr.got([]byte("GET /")); tr.active() }, false, ""},
		"answered":               {func(tr *trace) { tr.active(); tr.idle() }, false, ""},
		"idle":                   {func(tr *trace) { idle(tr); tr.reads(4096) }, true, ""},
		"read in the background": {func(tr *trace) { tr.active(); tr.got([]byte("G")); tr.idle(); tr.deadline(); tr.reads(4095) }, true, "G"},
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
		"no deadline":             {func(tr *trace) { tr.active(); tr.idle(); tr.reads(4096) }, false, ""},
		"unsure, then idle again": {func(tr *trace) { idle(tr); tr.reads(1); idle(tr); tr.reads(4096) }, true, ""},
		"HTTP/2":                  {func(tr *trace) { tr.got([]byte("PRI * HTTP/2.0")); tr.active(); idle(tr); tr.reads(4096) }, false, ""},
		"hijacked":                {func(tr *trace) { tr.active(); tr.stop(); idle(tr); tr.reads(4096) }, false, ""},
		"a long request":          {func(tr *trace) { tr.got(make([]byte, maxUnparsed+1)) }, false, ""},
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
			g := socket(t)
			ln, err := inherit.Listener(dup(t, g.FD(0)))
			must(t, err)
			defer ln.Close()
			ours, _ := client(t, g)
			theirs, err := ln.Accept()
			must(t, err)
			begun, release := make(chan struct{}, 2), make(chan struct{})
			c, over := serveOne(t, theirs, func() { begun <- struct{}{}; <-release })
			_, err = io.WriteString(ours, test.before)
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

// serveOne lets a server serve one connection as a worker would.
func serveOne(t *testing.T, nc net.Conn, handle func()) (*conn, <-chan struct{}) {
	t.Helper()
	l := newListener("web", nil)
	c := l.know(&conn{Conn: nc, from: l})
	over := make(chan struct{})
	srv := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		handle()
		echoes(rw, r)
	}), ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateClosed {
			close(over)
		}
	}}
	d := &drainer{w: &Worker{}, srv: srv, own: l, changed: make(chan struct{}, 1), states: make(map[net.Conn]http.ConnState), counts: make(map[http.ConnState]int)}
	d.lot = newLot(nil, 0, d.bequeath, d.tell)
	d.wrap()
	one := newLot(nil, 0, nil, func() {})
	served := make(chan error, 1)
	go func() { served <- srv.Serve(one) }()
	one.ready <- c
	t.Cleanup(func() {
		_ = srv.Close()
		<-served
	})
	return c, over
}

func dup(t *testing.T, fd int) int {
	t.Helper()
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	must(t, err)
	return n
}
