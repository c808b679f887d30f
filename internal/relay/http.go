package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync"
	"time"
)

// transport keeps connections to one process, for requests; nil has none.
type transport struct{ http.Transport }

// reuse is how long a connection without a request is kept: shorter than servers do,
// which may end it at the moment of the next request.
const reuse = time.Second

func newTransport(up *upstream) *transport {
	var t transport
	t.DisableCompression = true
	t.IdleConnTimeout, t.MaxIdleConnsPerHost = reuse, 1024
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", up.Addr)
	}
	return &t
}

// rest closes connections without a request.
func (t *transport) rest() {
	if t != nil {
		t.CloseIdleConnections()
	}
}

// headerTimeout is how long a client may take for the head of a request.
const headerTimeout = time.Minute

// server passes requests on, each to the process with the fewest of them.
func (p *pool) server() *http.Server {
	discard := log.New(io.Discard, "", 0)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", p.Name
			r.SetXForwarded()
		},
		Transport: p, FlushInterval: -1, ErrorLog: discard,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, fmt.Sprintf("pool %s: %v", p.Name, err), http.StatusBadGateway)
		},
	}
	return &http.Server{Handler: proxy, ReadHeaderTimeout: headerTimeout, ErrorLog: discard}
}

// RoundTrip passes a request on. One that no process has got, because it refused the
// connection, goes to another one.
func (p *pool) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeoutCause(r.Context(), patience, errNobody)
	defer cancel()
	for {
		res, err := p.roundTrip(ctx, r)
		if res != nil || err != nil {
			return res, err
		}
	}
}

// roundTrip tries each process once and then waits a moment; both nil: again.
func (p *pool) roundTrip(ctx context.Context, r *http.Request) (*http.Response, error) {
	var refused []*upstream
	for {
		l, changed := p.pick(refused, true)
		if l == nil {
			return nil, p.pause(ctx, changed, nil, len(refused) > 0)
		}
		res, err := l.roundTrip(r)
		if err == nil {
			return res, nil
		}
		p.drop(l)
		if op, ok := errors.AsType[*net.OpError](err); !ok || op.Op != "dial" || r.Context().Err() != nil {
			return nil, err
		}
		refused = append(slices.Clone(refused), l.up)
	}
}

// roundTrip passes a request on to one process. It lasts until the answer is closed.
func (l *link) roundTrip(r *http.Request) (*http.Response, error) {
	out := r.WithContext(r.Context()) // a copy
	if r.Body != nil {
		out.Body = kept{r.Body}
	}
	res, err := l.transport().RoundTrip(out)
	if err != nil {
		return nil, err
	}
	var once sync.Once
	over := func() { once.Do(func() { l.pool.drop(l) }) }
	if both, ok := res.Body.(io.ReadWriteCloser); ok { // another protocol from here on
		res.Body = upgraded{both, over}
	} else {
		res.Body = answer{res.Body, over}
	}
	return res, nil
}

func (l *link) transport() *transport {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	if l.up.http == nil {
		l.up.http = newTransport(l.up)
	}
	return l.up.http
}

// kept is a body that a transport does not close: it may not have begun to read it,
// and another process gets it.
type kept struct{ io.ReadCloser }

func (kept) Close() error { return nil }

type answer struct {
	io.ReadCloser
	over func()
}

func (a answer) Close() error {
	defer a.over()
	return a.ReadCloser.Close()
}

type upgraded struct {
	io.ReadWriteCloser
	over func()
}

func (u upgraded) Close() error {
	defer u.over()
	return u.ReadWriteCloser.Close()
}
