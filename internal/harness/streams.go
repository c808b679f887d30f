package harness

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// streams is the way of several clients that share an HTTP/2 connection, which
// is replaced when the server says that it takes no more requests on it
// (GOAWAY, RFC 9113 §6.8). It is not http.Transport's pool, which sends a
// request again that the server has not processed.
type streams struct {
	scheme    string
	address   string
	transport *http.Transport

	mu   sync.Mutex // held while a connection is made: the others wait for it
	conn *http.ClientConn
	left []*http.ClientConn // replaced, and possibly still in use
}

// newStreams is without TLS, or within TLS with whatever certificate.
func newStreams(address string, secured bool) *streams {
	s := &streams{scheme: "http", address: address, transport: &http.Transport{Protocols: new(http.Protocols)}}
	if secured {
		s.scheme = "https"
		s.transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	}
	s.transport.Protocols.SetHTTP2(secured)
	s.transport.Protocols.SetUnencryptedHTTP2(!secured)
	return s
}

// reserve gives the connection with room for a request on it.
func (s *streams) reserve(ctx context.Context) (conn *http.ClientConn, fresh bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil && s.conn.Reserve() == nil {
		return s.conn, false, nil
	}
	if s.conn != nil {
		s.left = append(s.left, s.conn)
		s.conn = nil
	}
	conn, err = s.transport.NewClientConn(ctx, s.scheme, s.address)
	if err != nil {
		return nil, true, err
	}
	if err := conn.Reserve(); err != nil {
		return nil, true, fmt.Errorf("new connection: %w", joinClose(err, conn))
	}
	s.conn = conn
	return conn, true, nil
}

func joinClose(err error, c io.Closer) error {
	_ = c.Close() // it is of no use
	return err
}

// get makes one request. Only one of which not a byte has been sent, because the
// connection was given up in that instant, goes over the next connection: also
// one that has just been made may be given up by a worker that retires.
func (s *streams) get(ctx context.Context, path string, timeout time.Duration) (result Sample) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		conn, opened, err := s.reserve(ctx)
		result.Fresh = result.Fresh || opened
		if err != nil {
			result.Err = err
			return result
		}
		var sent bool
		result.Body, sent, result.Err = ask(ctx, conn, "http://"+s.address+path)
		if result.Err == nil || sent || ctx.Err() != nil {
			return result
		}
	}
}

// ask makes a request on a connection and reads the whole answer.
func ask(ctx context.Context, conn *http.ClientConn, url string) (body string, sent bool, err error) {
	var begun atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaderField: func(string, []string) { begun.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		conn.Release()
		return "", false, err
	}
	resp, err := conn.RoundTrip(req)
	if err != nil {
		return "", begun.Load(), fmt.Errorf("read the answer: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	switch {
	case err != nil:
		err = fmt.Errorf("read the answer: %w", err)
	case resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2:
		err = fmt.Errorf("%s, status %s", resp.Proto, resp.Status)
	}
	return string(text), true, err
}

func (s *streams) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.left = append(s.left, s.conn)
	}
	for _, c := range s.left {
		_ = c.Close() // it may have ended already
	}
	s.conn, s.left = nil, nil
}
