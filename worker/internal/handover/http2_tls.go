package handover

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
)

// secured is a connection of HTTP/2 within TLS. The server reads and writes its
// frames through it, as through a [conn] without TLS.
type secured struct {
	*tls.Conn
	below *conn
	begun bool
}

// preface is what a client of HTTP/2 begins with (RFC 9113 §3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Read skips the preface, which the server believes to have been read.
func (s *secured) Read(p []byte) (int, error) {
	if !s.begun {
		var got [len(preface)]byte
		if _, err := io.ReadFull(s.Conn, got[:]); err != nil {
			return 0, err
		}
		if string(got[:]) != preface {
			return 0, fmt.Errorf("the client does not begin with the preface of HTTP/2")
		}
		s.begun = true
	}
	return s.below.frames.read(s.Conn.Read, p)
}

func (s *secured) Write(p []byte) (int, error) { return s.below.frames.write(s.Conn, p) }

// The keys in [http.Server.TLSNextProto] under which net/http keeps its HTTP/2:
// within TLS, and without. The second is not documented. If it is missing,
// clients within TLS get only the last GOAWAY, and TestSwapHTTP2 fails.
const (
	protoSecured = "h2"
	protoPlain   = "unencrypted_http2"
)

// unencrypted is how net/http passes a connection without TLS in a *tls.Conn.
type unencrypted struct{ net.Conn }

func (h unencrypted) UnencryptedNetConn() net.Conn { return h.Conn }

// wrapSecured puts a [secured] between the server and each connection of HTTP/2
// within TLS. A *tls.Conn cannot be wrapped, but the same HTTP/2 of net/http also
// reads from other connections. The server has made both when it calls
// BaseContext, and accepts nothing before.
func (s *Server) wrapSecured() {
	base := s.http.BaseContext
	var once sync.Once
	s.http.BaseContext = func(ln net.Listener) context.Context {
		once.Do(s.replaceSecured)
		if base != nil {
			return base(ln)
		}
		return context.Background()
	}
}

func (s *Server) replaceSecured() {
	next, plain := s.http.TLSNextProto[protoSecured], s.http.TLSNextProto[protoPlain]
	if next == nil || plain == nil {
		return
	}
	s.http.TLSNextProto[protoSecured] = func(srv *http.Server, tc *tls.Conn, h http.Handler) {
		c := inner(tc)
		if c == nil {
			next(srv, tc, h)
			return
		}
		c.mu.Lock()
		c.tls = tc
		c.mu.Unlock()
		plain(srv, tls.Client(unencrypted{&secured{Conn: tc, below: c}}, nil), h)
	}
}
