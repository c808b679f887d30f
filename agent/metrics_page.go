package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"

	"github.com/norestart/norestart/control"
)

// PrintMetrics writes what is asked at a scrape, once. What only events tell is not
// counted.
func PrintMetrics(ctx context.Context, c control.Control, cluster string, w io.Writer) error {
	p := page{w: w, header: make(http.Header), status: http.StatusOK}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/metrics", nil)
	if err != nil {
		return err
	}
	text(newMetrics(c, cluster).asked).ServeHTTP(&p, r)
	if p.status != http.StatusOK {
		return fmt.Errorf("metrics: %s", http.StatusText(p.status))
	}
	return p.err
}

// page is an answer that is only its body.
type page struct {
	w      io.Writer
	header http.Header
	status int
	err    error
}

func (p *page) Header() http.Header    { return p.header }
func (p *page) WriteHeader(status int) { p.status = status }

func (p *page) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	p.err = errors.Join(p.err, err)
	return n, err
}

// ServeMetrics serves metrics for a cluster without an agent, until ctx ends. Events
// are counted from now on.
func ServeMetrics(ctx context.Context, c control.Control, cluster string, ln net.Listener) error {
	m := newMetrics(c, cluster)
	ctx, end := context.WithCancel(ctx)
	var counts sync.WaitGroup
	defer counts.Wait()
	defer end()
	counts.Go(func() { m.follow(ctx) })
	server := http.Server{Handler: m.handler(), ReadHeaderTimeout: requestTimeout}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
